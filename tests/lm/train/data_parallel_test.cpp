// ranks: 1 2 3
// A step whose gradient is summed over micro-shards: against the same sum by hand and torch's
// AdamW, and the same bits on any number of ranks.
#include "preimage/lm/train/data_parallel.hpp"

#include <ATen/ATen.h>

#include <cmath>

#include "preimage/base/error.hpp"
#include "ranked_main.hpp"

namespace preimage::lm {
namespace {

const TensorList list = {{"matrix", {3, 4}}, {"vector", {4}}, {"unused", {2, 2}}};

Parameters start() {
  auto out = make_parameters(list, at::kCPU);
  for (auto& [name, view] : out.views) fill_normal(view, base::RandomStream(4, name, "test"), 0.5);
  return out;
}

// A loss of shard s that is linear in the leaves, so that its gradient is known: the sum of
// coefficients times values.
at::Tensor coefficients(int64_t shard, int64_t count) {
  const auto value = at::arange(count, at::kFloat) + 1.0f;
  return (value * static_cast<float>(shard + 1) * 0.37f).sin();
}

ShardLoss loss_of(const Leaves& leaves, int64_t shard) {
  if (shard == 5) return {at::zeros({}, at::kFloat), {0}};  // nothing to learn from
  const auto matrix = (leaves.by_name.at("matrix") * coefficients(shard, 12).view({3, 4})).sum();
  const auto vector = (leaves.by_name.at("vector") * coefficients(shard, 4)).sum();
  return {matrix + vector, {static_cast<float>(shard)}};
}

struct Made {
  StepResult result;
  Parameters parameters;
  optim::AdamWState adam;
};

constexpr StepOptions options{.micro_shards = 7,
                              .sums = 1,
                              .learning_rate = 0.1,
                              .adam = {.beta2 = 0.95, .clip = 1, .weight_decay = 0.1}};

Made make(const cluster::Communicator& world) {
  Made out{{}, start(), {at::zeros({20}), at::zeros({20}), 0}};
  const auto leaves = make_leaves(out.parameters, list, at::kFloat);
  out.result = data_parallel_step({out.parameters, out.adam, world}, leaves, options,
                                  [&](int64_t shard) { return loss_of(leaves, shard); });
  return out;
}

TEST(DataParallelStep, SumsTheShardsAndUpdatesAsAdamWDoes) {
  const auto made = make(tests::world());
  auto gradient = at::zeros({20}, at::kDouble);
  const auto before = start();
  double loss = 0, sums = 0;
  for (int64_t s = 0; s < 7; ++s) {
    if (s == 5) continue;
    gradient.narrow(0, 0, 12) += coefficients(s, 12);
    gradient.narrow(0, 12, 4) += coefficients(s, 4);
    const auto leaves = make_leaves(before, list, at::kFloat);
    loss += loss_of(leaves, s).loss.item<float>();
    sums += static_cast<double>(s);
  }
  const double norm = gradient.norm().item<double>();
  EXPECT_GT(norm, 1);  // clipped
  EXPECT_NEAR(made.result.loss, loss, 1e-5);
  EXPECT_EQ(made.result.sums, std::vector<double>{sums});
  EXPECT_NEAR(made.result.gradient_norm, norm, 1e-5);
  EXPECT_EQ(made.adam.steps, 1);
  // The first step of Adam is the gradient's sign; decay (matrices alone) comes before it.
  gradient /= norm;
  const auto adam = gradient / (gradient.abs() + 1e-8);
  const auto expected =
      before.flat.to(at::kDouble) * (1 - 0.1 * 0.1 * before.decay_mask) - 0.1 * adam;
  EXPECT_LT((made.parameters.flat - expected).abs().max().item<double>(), 1e-6);
  // No shard reaches "unused": only decay moves it.
  EXPECT_LT((made.parameters.views.at("unused") - before.views.at("unused") * 0.99)
                .abs()
                .max()
                .item<double>(),
            1e-7);
}

TEST(DataParallelStep, SameBitsOnAnyNumberOfRanks) {
  const auto together = make(tests::world());
  const auto one = make(cluster::alone());
  EXPECT_EQ(together.result.loss, one.result.loss);
  EXPECT_EQ(together.result.gradient_norm, one.result.gradient_norm);
  EXPECT_TRUE(at::equal(together.parameters.flat, one.parameters.flat));
  EXPECT_TRUE(at::equal(together.adam.first, one.adam.first));
  EXPECT_TRUE(at::equal(together.adam.second, one.adam.second));
}

TEST(DataParallelStep, RefusesAnotherNumberOfSums) {
  const auto alone = cluster::alone();
  auto parameters = start();
  optim::AdamWState adam{at::zeros({20}), at::zeros({20}), 0};
  const auto leaves = make_leaves(parameters, list, at::kFloat);
  EXPECT_THROW(data_parallel_step({parameters, adam, alone}, leaves, options,
                                  [&](int64_t) -> ShardLoss {
                                    return {at::zeros({}, at::kFloat), {}};
                                  }),
               base::Error);
}

TEST(Parameters, ViewsShareTheFlatVectorAndMatricesDecay) {
  auto parameters = start();
  parameters.views.at("vector").fill_(7);
  EXPECT_TRUE(at::equal(parameters.flat.narrow(0, 12, 4), at::full({4}, 7.0)));
  EXPECT_EQ(parameters.decay_mask.sum().item<float>(), 16);
  EXPECT_EQ(parameters.decay_mask.narrow(0, 12, 4).sum().item<float>(), 0);
  // Leaves in bfloat16 are copies, those in float32 the values themselves.
  EXPECT_EQ(make_leaves(parameters, list, at::kBFloat16).in_order[1].scalar_type(), at::kBFloat16);
}

}  // namespace
}  // namespace preimage::lm
