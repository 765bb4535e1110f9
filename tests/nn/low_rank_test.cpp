// Changes of low rank: the worked examples of the method's page, autograd over plain ATen products,
// and each row and sample against itself in other company.
#include "preimage/nn/low_rank.hpp"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace preimage::nn {
namespace {

at::Tensor matrix(std::initializer_list<float> values, int64_t rows) {
  return at::tensor(std::vector<float>(values), at::kFloat).view({rows, -1});
}

at::Tensor leaf(at::IntArrayRef shape) {
  return at::zeros({}, at::kFloat).expand(shape).detach().requires_grad_();
}

void expect_near(const at::Tensor& ours, const at::Tensor& theirs, double tolerance) {
  ASSERT_EQ(ours.sizes(), theirs.sizes());
  EXPECT_LT((ours - theirs).abs().max().item<double>(), tolerance) << ours << theirs;
}

// W = U diag(3, 2) Vh with U the first two unit vectors: two samples of two tokens.
TEST(LowRank, GradientOfEachSampleToKnobs) {
  const Weight w(matrix({3, 0, 0, 2, 0, 0}, 3));
  const auto s = at::zeros({2}, at::kFloat).requires_grad_();
  LowRank change{
      .down = Weight(at::eye(2)), .up = Weight(matrix({1, 0, 0, 1, 0, 0}, 3)), .gain = s};
  change.gain_of_samples = leaf({2, 2});
  const auto x = matrix({1, 2, 3, -1, .5, .5, 2, 0}, 4);
  const auto delta = matrix({.1f, .2f, 9, -.3f, .4f, 9, 1, 1, 9, .5f, -2, 9}, 4);
  const auto y = adapted_linear(x, w, {change}, {0, 2, 4});
  const auto g = torch::autograd::grad({y}, {s, change.gain_of_samples}, {delta});
  expect_near(g[1], matrix({-.8f, 0, 1.5f, .5f}, 2), 1e-6);
  expect_near(g[0], at::tensor({.7f, .5f}), 1e-6);
}

TEST(LowRank, GradientOfEachSampleToLora) {
  const Weight w(at::zeros({2, 2}));
  const auto a = matrix({1, 2}, 1).requires_grad_(), b = matrix({.5f, -1}, 2).requires_grad_();
  LowRank change{.down = Weight(a), .up = Weight(b), .live = true};
  change.up_of_samples = leaf({2, 2, 1}), change.down_of_samples = leaf({2, 1, 2});
  const auto x = matrix({1, 0, 0, 1, 2, 1, 1, 1}, 4);
  const auto delta = matrix({1, 0, 0, 1, 1, 1, -1, 2}, 4);
  const auto y = adapted_linear(x, w, {change}, {0, 2, 4});
  const auto g =
      torch::autograd::grad({y}, {a, b, change.up_of_samples, change.down_of_samples}, {delta});
  expect_near(g[2].flatten(1), matrix({1, 2, 1, 10}, 2), 1e-6);
  expect_near(g[3].flatten(1), matrix({.5f, -1, -3.5f, -3}, 2), 1e-6);
  expect_near(g[1], matrix({2, 12}, 2), 1e-6);
  expect_near(g[0], matrix({-3, -4}, 1), 1e-6);
  expect_near(g[2].flatten(1).square().sum(1), at::tensor({5.f, 101.f}), 1e-5);
}

struct Layer {
  at::Tensor w, a, b, vh, u, s;
};

Layer some_layer(at::ScalarType dtype) {
  const auto draw = [](at::IntArrayRef shape, int64_t prime) {
    const auto n = c10::multiply_integers(shape);
    return ((at::arange(n, at::kFloat) * static_cast<double>(prime) % 17) / 8.5 - 1).view(shape);
  };
  return {draw({40, 24}, 5).to(dtype),
          draw({3, 24}, 7),
          draw({16, 3}, 11),
          draw({12, 24}, 13).to(at::kBFloat16),
          draw({20, 12}, 3).to(at::kBFloat16),
          draw({12}, 2)};
}

// Two changes of one layer: LoRA on its rows 0..15, knobs on its rows 18..37.
std::vector<LowRank> changes_of(const Layer& l) {
  return {{.first_row = 0, .down = Weight(l.a), .up = Weight(l.b), .scale = .5, .live = true},
          {.first_row = 18, .down = Weight(l.vh), .up = Weight(l.u), .gain = l.s}};
}

at::Tensor plain(const at::Tensor& x, const Layer& l) {
  const auto lora = x.matmul(l.a.t()).matmul(l.b.t()) * .5;
  const auto knobs = (x.matmul(l.vh.to(at::kFloat).t()) * l.s).matmul(l.u.to(at::kFloat).t());
  const auto zeros = [&](int64_t n) { return at::zeros({x.size(0), n}); };
  return x.matmul(l.w.t()) + at::cat({lora, zeros(2), knobs, zeros(2)}, 1);
}

TEST(LowRank, PlainProductsAndTheirGradients) {
  auto layer = some_layer(at::kFloat);
  const auto x = ((at::arange(7 * 24, at::kFloat) * 3 % 19) / 9.5 - 1).view({7, 24});
  std::vector<at::Tensor> leaves = {x, layer.a, layer.b, layer.s};
  for (auto& l : leaves) l.requires_grad_();
  const auto ours = adapted_linear(x, Weight(layer.w), changes_of(layer));
  const auto theirs = plain(x, layer);
  expect_near(ours.detach(), theirs.detach(), 1e-4);
  const auto dy = ((at::arange(7 * 40, at::kFloat) * 7 % 23) / 11.5 - 1).view({7, 40});
  const auto g = torch::autograd::grad({ours}, leaves, {dy});
  const auto h = torch::autograd::grad({theirs}, leaves, {dy});
  for (size_t i = 0; i < leaves.size(); ++i) expect_near(g[i], h[i], 2e-3);
}

TEST(LowRank, ARowDoesNotDependOnItsCompany) {
  const at::NoGradGuard no_grad;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto layer = some_layer(dtype);
    const Weight w(layer.w);
    const auto changes = changes_of(layer);
    const auto x = ((at::arange(90 * 24, at::kFloat) * 3 % 19) / 9.5 - 1).view({90, 24}).to(dtype);
    const auto all = adapted_linear(x, w, changes);
    for (const int64_t row : {0, 41, 89})
      EXPECT_TRUE(
          at::equal(adapted_linear(x.narrow(0, row, 1), w, changes), all.narrow(0, row, 1)));
  }
}

// Products with a gain of zeros add nothing: leaving them out changes no value.
TEST(LowRank, AGainOfZerosNeedsHalfOfTheProducts) {
  auto layer = some_layer(at::kFloat);
  layer.s = at::zeros_like(layer.s);
  const auto x =
      ((at::arange(7 * 24, at::kFloat) * 3 % 19) / 9.5 - 1).view({7, 24}).requires_grad_();
  const auto dy = ((at::arange(7 * 40, at::kFloat) * 7 % 23) / 11.5 - 1).view({7, 40});
  std::vector<std::vector<at::Tensor>> found;
  for (const bool zero : {false, true}) {
    auto changes = changes_of(layer);
    changes[1].gain_of_samples = leaf({2, 12});
    changes[1].zero_gain = zero;
    const auto y = adapted_linear(x, Weight(layer.w), changes, {0, 3, 7});
    auto gradients = torch::autograd::grad({y}, {x, changes[1].gain_of_samples}, {dy});
    gradients.push_back(y.detach());
    found.push_back(std::move(gradients));
  }
  for (size_t i = 0; i < found[0].size(); ++i) EXPECT_TRUE(at::equal(found[0][i], found[1][i]));
  EXPECT_GT(found[1][1].norm().item<double>(), 0.1);
}

TEST(LowRank, LiveMatricesMayChangeInPlace) {
  const at::NoGradGuard no_grad;
  const auto layer = some_layer(at::kFloat);
  const Weight w(layer.w);
  const auto changes = changes_of(layer);
  const auto x = at::ones({2, 24});
  const auto before = adapted_linear(x, w, changes);
  layer.b.mul_(2), layer.s.add_(1);
  const auto after = adapted_linear(x, w, changes);
  EXPECT_FALSE(at::equal(before, after));
  EXPECT_TRUE(at::equal(after, adapted_linear(x, Weight(layer.w), changes_of(layer))));
}

TEST(LowRank, WithoutChangesItIsTheFrozenProduct) {
  const at::NoGradGuard no_grad;
  const auto layer = some_layer(at::kFloat);
  const auto x = at::ones({3, 24});
  auto changes = changes_of(layer);
  layer.b.zero_(), layer.s.zero_();
  EXPECT_TRUE(at::equal(adapted_linear(x, Weight(layer.w), changes), linear(x, Weight(layer.w))));
}

}  // namespace
}  // namespace preimage::nn
