// The likelihood arm on pocket-coder: its energies are the generator's own log-probabilities at the
// start, have the same bits with and without kept states and in any batch, and follow its gradient.
#include "arms/likelihood_arm.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/base/random.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::verifier {
namespace {

const std::filesystem::path model_folder =
    std::filesystem::path(PREIMAGE_SOURCE_DIR) / "jobs/models/pocket-coder";

std::vector<EncodedProgram> programs() {
  const auto tokenizer = text::load_tokenizer(model_folder);
  const ProgramEncoder encoder(tokenizer, 200, /*inner_border=*/false);
  const std::string prompt = "Write a function to add two.\n\nassert f(1) == 3\n\n";
  return {encoder.encode(prompt, "def f(x):\n    return x + 2\n"),
          encoder.encode(prompt, "def f(x):\n    y = x\n    return y - 2\n"),
          encoder.encode("Other.\n\n", "def f(x):\n    return x + 2\n"),
          encoder.encode("", "def g():\n    pass\n")};
}

struct Likelihood {
  LikelihoodArm arm;
  lm::Parameters parameters;
  lm::Leaves leaves;
  std::unique_ptr<EnergyModel> model;

  explicit Likelihood(int64_t layers)
      : arm(load_stored(model_folder, {}), {.tuned_layers = layers, .scale = 0.3}),
        parameters(arm.initial(1, at::kCPU)),
        leaves(lm::make_leaves(parameters, arm.trained(), at::kFloat)),
        model(arm.build(leaves.by_name)) {}

  at::Tensor energies(const std::vector<EncodedProgram>& list) const {
    Sequences sequences;
    for (const auto& program : list) sequences.add(program);
    return model->energies(sequences, {});
  }
};

TEST(Likelihood, StartsAsTheGeneratorsLogProbability) {
  const auto list = programs();
  const auto generator = lm::load_model(model_folder, {at::kFloat, at::kCPU});
  std::vector<lm::ScoreRequest> requests;
  for (const auto& program : list) {
    const auto border = program.ids.end() - program.targets;
    requests.push_back({{program.ids.begin(), border}, {}, {border, program.ids.end()}});
  }
  const auto scores = lm::score(*generator, requests, {});
  for (const int64_t layers : {0, 2, 6}) {
    const auto energies = Likelihood(layers).energies(list);
    for (size_t i = 0; i < list.size(); ++i) {
      const double sum = std::accumulate(scores[i].logprobs.begin(), scores[i].logprobs.end(), 0.0);
      EXPECT_NEAR(energies[static_cast<int64_t>(i)].item<float>(), -0.3 * sum, 1e-4) << i;
    }
  }
}

TEST(Likelihood, KeptStatesAndCompanyDoNotChangeABit) {
  const Likelihood one(2);
  auto list = programs();
  const auto bare = one.energies(list);
  std::vector<EncodedProgram*> kept = {&list[0], &list[1], &list[2]};
  EXPECT_GT(one.arm.prepare(kept, std::numeric_limits<double>::infinity()), 0);
  EXPECT_EQ(list[0].state->prompt, list[1].state->prompt);
  EXPECT_TRUE(at::equal(one.energies(list), bare));
  for (size_t i = 0; i < list.size(); ++i)
    EXPECT_TRUE(at::equal(one.energies({list[i]}), bare.narrow(0, static_cast<int64_t>(i), 1)));
}

TEST(Likelihood, NoStateIsKeptBeyondTheLimit) {
  const Likelihood one(1);
  auto list = programs();
  EXPECT_EQ(one.arm.prepare({&list[0]}, 0), 0);
  EXPECT_EQ(list[0].state, nullptr);
}

TEST(Likelihood, FollowsItsGradient) {
  const Likelihood one(2);
  const auto list = programs();
  const auto weights = at::tensor({1.0f, -2.0f, 0.5f, 1.0f});
  const auto loss = [&](const EnergyModel& model) {
    Sequences sequences;
    for (const auto& program : list) sequences.add(program);
    return (model.energies(sequences, {}) * weights).sum();
  };
  const auto gradients = torch::autograd::grad({loss(*one.model)}, one.leaves.in_order);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < gradients.size(); i += 6) {
    // The difference along the gradient itself.
    const auto direction = gradients[i] / gradients[i].norm();
    const double step = 1e-2, expected = gradients[i].norm().item<double>();
    const auto moved = [&](double by) {
      auto values = one.leaves.by_name;
      values[one.arm.trained()[i].first] = one.leaves.in_order[i] + by * direction;
      return loss(*one.arm.build(values)).item<double>();
    };
    EXPECT_NEAR((moved(step) - moved(-step)) / (2 * step), expected, 0.02 * expected + 1e-3)
        << one.arm.trained()[i].first;
  }
}

}  // namespace
}  // namespace preimage::verifier
