// Mixtures of experts against the definition, written out token by token.
#include "preimage/nn/moe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "preimage/nn/layers.hpp"

namespace preimage::nn {
namespace {

at::Tensor waves(at::IntArrayRef shape, double step) {
  return at::sin(at::arange(c10::multiply_integers(shape), at::kFloat) * step).view(shape);
}

std::vector<int64_t> row_of(const at::Tensor& x, int64_t row) {
  const auto values = x[row].contiguous();
  return {values.const_data_ptr<int64_t>(), values.const_data_ptr<int64_t>() + values.numel()};
}

TEST(Moe, SoftmaxOverTheChosenAlone) {
  const auto logits = at::tensor({0.0f, 3.0f, 1.0f, 2.0f, -1.0f, 5.0f, 5.5f, 0.0f}).view({2, 4});
  const auto routing = route_softmax(logits, 2);
  EXPECT_THAT(row_of(routing.experts, 0), testing::ElementsAre(1, 3));
  EXPECT_THAT(row_of(routing.experts, 1), testing::ElementsAre(1, 2));
  EXPECT_FLOAT_EQ(routing.weights[0][0].item<float>(), 1 / (1 + std::exp(-1.0f)));
  EXPECT_FLOAT_EQ(routing.weights[1][1].item<float>(), 1 / (1 + std::exp(-0.5f)));
}

// The correction decides and does not weigh; a group's rank is the sum of its two best.
TEST(Moe, GroupsByTheirTwoBest) {
  const auto logits = at::zeros({1, 8});
  // Groups of two: sums 0.9, 0.95, 1.1, 0.8; the single best expert (0.9) is in the losing group 0.
  const auto correction = at::tensor({0.9f, 0.0f, 0.5f, 0.45f, 0.6f, 0.5f, 0.4f, 0.4f});
  const GroupedRouting options{.k = 3, .groups = 4, .top_groups = 2, .scale = 2.5};
  const auto routing = route_grouped_sigmoid(logits, correction, options);
  EXPECT_THAT(row_of(routing.experts, 0), testing::ElementsAre(2, 4, 5));
  EXPECT_NEAR(routing.weights.sum().item<float>(), 2.5, 1e-6);
  const auto loose = route_grouped_sigmoid(
      logits, correction, {.k = 3, .groups = 4, .top_groups = 2, .normalize = false, .scale = 2});
  EXPECT_FLOAT_EQ(loose.weights[0][0].item<float>(), 1.0f);
}

// Corrections below zero: an excluded expert stays excluded (it is not given the score 0).
TEST(Moe, ExcludedExpertsStayOut) {
  const auto correction = at::full({4}, -2.0f);
  correction[0] = -1.5f;
  const auto routing =
      route_grouped_sigmoid(at::zeros({1, 4}), correction, {.k = 2, .groups = 2, .top_groups = 1});
  EXPECT_THAT(row_of(routing.experts, 0), testing::ElementsAre(0, 1));
}

TEST(Moe, MixtureIsTheSumTokenByToken) {
  const int64_t tokens = 13, d = 6, count = 5, k = 3;
  const auto start = waves({tokens, d}, 0.7), matrices = waves({count, d, d}, 1.3);
  const auto logits = waves({tokens, count}, 2.1);
  const Expert expert = [&](int64_t e, const at::Tensor& rows) {
    return at::tanh(at::matmul(rows, matrices[e]));
  };
  const auto x = start.clone().requires_grad_(), router = logits.clone().requires_grad_();
  const auto routing = route_softmax(router, k);
  const auto ours = mixture(x, routing, expert);
  const auto y = start.clone().requires_grad_(), other = logits.clone().requires_grad_();
  std::vector<at::Tensor> rows;
  for (int64_t t = 0; t < tokens; ++t) {
    const auto chosen = std::get<1>(other.detach()[t].topk(k));
    const auto weights = at::softmax(other[t].index_select(0, chosen), 0);
    auto sum = at::zeros({1, d});
    for (int64_t j = 0; j < k; ++j)
      sum = sum + weights[j] * expert(chosen[j].item<int64_t>(), y.narrow(0, t, 1));
    rows.push_back(sum);
  }
  const auto theirs = at::cat(rows);
  EXPECT_LT((ours - theirs).abs().max().item<float>(), 1e-6);
  const auto seed = waves({tokens, d}, 3.3);
  const auto a = torch::autograd::grad({ours}, {x, router}, {seed});
  const auto b = torch::autograd::grad({theirs}, {y, other}, {seed});
  EXPECT_LT((a[0] - b[0]).abs().max().item<float>(), 1e-6);
  EXPECT_LT((a[1] - b[1]).abs().max().item<float>(), 1e-6);
  EXPECT_EQ(mixture(at::zeros({0, d}), route_softmax(at::zeros({0, count}), k), expert).size(0), 0);
}

// Weights of two products, in float32, against the definition token by token; and each token alone.
TEST(Moe, ExpertsOfTwoProducts) {
  const int64_t tokens = 17, d = 8, inner = 5, count = 4, k = 2;
  std::vector<Weight> first, second;
  for (int64_t e = 0; e < count; ++e) {
    first.emplace_back(waves({2 * inner, d}, 0.3 + 0.1 * static_cast<double>(e)),
                       waves({2 * inner}, 0.9));
    second.emplace_back(waves({d, inner}, 0.5 + 0.1 * static_cast<double>(e)), waves({d}, 1.1));
  }
  const ExpertLayers experts(first, second, swiglu);
  EXPECT_EQ(experts.count(), count);
  EXPECT_FALSE(experts.on_device(at::kFloat));
  const auto x = waves({tokens, d}, 0.7), logits = waves({tokens, count}, 2.1);
  const auto ours = mixture(x, route_softmax(logits, k), experts);
  for (int64_t t = 0; t < tokens; ++t) {
    const auto [weights, chosen] = logits[t].topk(k);
    const auto shares = at::softmax(weights, 0);
    auto sum = at::zeros({d});
    for (int64_t j = 0; j < k; ++j) {
      const auto e = static_cast<size_t>(chosen[j].item<int64_t>());
      const auto inside = at::linear(x[t], first[e].matrix(), first[e].bias()).chunk(2);
      sum = sum + shares[j] * at::linear(at::silu(inside[0]) * inside[1], second[e].matrix(),
                                         second[e].bias());
    }
    EXPECT_LT((ours[t] - sum).abs().max().item<float>(), 1e-5);
    const auto alone =
        mixture(x.narrow(0, t, 1), route_softmax(logits.narrow(0, t, 1), k), experts);
    EXPECT_TRUE(at::equal(alone[0], ours[t]));
  }
}

// Each token alone has the bits that it has among all.
TEST(Moe, RoutingDoesNotDependOnTheBatch) {
  const auto logits = waves({29, 8}, 1.7), correction = waves({8}, 0.9);
  const GroupedRouting options{.k = 3, .groups = 4, .top_groups = 2, .scale = 1.5};
  const auto all = route_grouped_sigmoid(logits, correction, options);
  for (int64_t t = 0; t < 29; ++t) {
    const auto alone = route_grouped_sigmoid(logits.narrow(0, t, 1), correction, options);
    EXPECT_TRUE(at::equal(alone.experts[0], all.experts[t]));
    EXPECT_TRUE(at::equal(alone.weights[0], all.weights[t]));
  }
}

}  // namespace
}  // namespace preimage::nn
