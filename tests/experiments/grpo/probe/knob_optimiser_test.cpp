// torch.optim.AdamW behind a projected and clipped gradient (fixtures/measure.json), and the
// remedies against the leak.
#include "probe/knob_optimiser.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "preimage/base/json.hpp"

namespace preimage::grpo {
namespace {

const std::string kFixture = PREIMAGE_TEST_DATA "/experiments/grpo/fixtures/measure.json";

Directions directions_of(const base::Json& v) {
  Directions out;
  ModuleDirections module{{"m", "q_proj", 0, std::ssize(v[0])}, std::ssize(v)};
  for (const auto& row : v)
    for (const auto& value : row) module.v.push_back(value.get<double>());
  module.mean.assign(static_cast<size_t>(module.span.size), 1);
  out.modules.push_back(module);
  return out;
}

TEST(KnobOptimiser, ProjectClipStepIsTorchs) {
  const auto fixture = base::read_json(kFixture).at("adamw");
  const auto directions = directions_of(fixture.at("v"));
  const int64_t n = directions.modules[0].span.size;
  at::Tensor values = at::zeros({n}, at::kFloat);
  KnobOptimiser optimiser(values, at::ones({n}, at::kFloat));
  const KnobStepOptions options{.lr = 0.05,
                                .adam = {.beta1 = .9, .beta2 = .99, .clip = 1, .weight_decay = .1}};
  for (const auto& step : fixture.at("steps")) {
    auto gradient = step.at("gradient").get<std::vector<float>>();
    project(gradient, directions, {});
    const auto projected = step.at("projected").get<std::vector<double>>();
    const auto found = optimiser.step(values, gradient, directions, options);
    const auto expected = step.at("values").get<std::vector<double>>();
    for (size_t j = 0; j < expected.size(); ++j) {
      EXPECT_NEAR(gradient[j], projected[j], 1e-6);
      EXPECT_NEAR(values[static_cast<int64_t>(j)].item<float>(), expected[j], 2e-6);
    }
    EXPECT_NEAR(found.cos_in, step.at("leak").get<double>(), 1e-4);
  }
}

std::vector<double> leaks(Remedy remedy) {
  const auto fixture = base::read_json(kFixture).at("adamw");
  const auto directions = directions_of(fixture.at("v"));
  const int64_t n = directions.modules[0].span.size;
  at::Tensor values = at::zeros({n}, at::kFloat);
  KnobOptimiser optimiser(values, at::zeros({n}, at::kFloat));
  std::vector<double> out;
  for (const auto& step : fixture.at("steps")) {
    auto gradient = step.at("gradient").get<std::vector<float>>();
    project(gradient, directions, {});
    out.push_back(optimiser
                      .step(values, gradient, directions,
                            {.lr = 0.05, .adam = {.beta2 = .99}, .remedy = remedy})
                      .cos_in);
  }
  return out;
}

TEST(KnobOptimiser, RemediesAgainstTheLeak) {
  const auto plain = leaks(Remedy::none), update = leaks(Remedy::update);
  const auto sgd = leaks(Remedy::sgd);
  double largest = 0;
  for (size_t k = 0; k < plain.size(); ++k) {
    largest = std::max(largest, plain[k]);
    EXPECT_LT(update[k], 1e-4);
    EXPECT_LT(sgd[k], 1e-5);  // linear: projected gradients add up to no leak
  }
  EXPECT_GT(largest, 0.05);  // Adam's does leak
  EXPECT_NE(leaks(Remedy::moments), plain);
}

}  // namespace
}  // namespace preimage::grpo
