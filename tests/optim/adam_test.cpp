#include "preimage/optim/adam.hpp"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::optim {
namespace {

at::Tensor random_tensor(at::IntArrayRef shape, const std::string& name) {
  const base::RandomStream stream(3, name, "test");
  auto out = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < out.numel(); ++i)
    out.data_ptr<float>()[i] = static_cast<float>(stream.normal(i));
  return out;
}

AdamProblems make_problems(const std::vector<int64_t>& rows, int64_t d) {
  AdamProblems p;
  p.offsets = {0};
  for (const int64_t r : rows) p.offsets.push_back(p.offsets.back() + r);
  p.values = random_tensor({p.offsets.back(), d}, "values");
  p.first = at::zeros_like(p.values);
  p.second = at::zeros_like(p.values);
  p.steps.assign(rows.size(), 0);
  return p;
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt));
}

TEST(Adam, NumericValuesOfTheReference) {
  // Reference test value 2: lr 0.01 from x = 1 with gradients 0.5, -0.1, 0.2 (float64 there).
  AdamProblems p{{0, 1}, at::ones({1, 1}), at::zeros({1, 1}), at::zeros({1, 1}), {0}};
  const double expected[] = {0.9900000002, 0.98488973957, 0.97887814028};
  const float gradients[] = {0.5f, -0.1f, 0.2f};
  for (int i = 0; i < 3; ++i) {
    adam_step(p, at::full({1, 1}, gradients[i]), {0.01}, {.clip = 0});
    EXPECT_NEAR(p.values.item<float>(), expected[i], 2e-7);
  }
}

TEST(Adam, ClipsEachProblemByItsOwnNorm) {
  // Reference test value 5: (3, 4) clipped to norm 1 is (0.6, 0.8); its neighbour (0.3, 0.4) is
  // left.
  AdamProblems p{{0, 1, 2}, at::zeros({2, 2}), at::zeros({2, 2}), at::zeros({2, 2}), {0, 0}};
  const auto norms =
      adam_step(p, at::tensor({3.f, 4.f, 0.3f, 0.4f}).view({2, 2}), {0.0, 0.0}, {.clip = 1});
  EXPECT_FLOAT_EQ(norms[0], 5);
  EXPECT_FLOAT_EQ(norms[1], 0.5);
  EXPECT_NEAR(p.first[0][0].item<float>(), 0.06, 1e-6);  // (1 - beta1) * 0.6
  EXPECT_NEAR(p.first[0][1].item<float>(), 0.08, 1e-6);
  EXPECT_NEAR(p.first[1][0].item<float>(), 0.03, 1e-7);
}

TEST(Adam, AgreesWithAtenAndDoesNotDependOnTheBatchOrTheThreads) {
  const std::vector<int64_t> rows = {3, 1, 8, 2};
  auto all = make_problems(rows, 37), oracle = make_problems(rows, 37),
       threads = make_problems(rows, 37);
  auto alone = make_problems(rows, 37);  // its third problem is cut out below
  AdamProblems third{
      {0, 8}, alone.values.narrow(0, 4, 8).clone(), at::zeros({8, 37}), at::zeros({8, 37}), {0}};
  for (int step = 0; step < 20; ++step) {
    const auto g = random_tensor({14, 37}, base::str("g", step));
    const std::vector<double> lr = {0.01, 0.02, 0.03 / (step + 1), 0.04};
    at::set_num_threads(2);
    adam_step(all, g, lr, {});
    at::set_num_threads(1);
    adam_step(threads, g, lr, {});
    adam_step(third, g.narrow(0, 4, 8).contiguous(), {lr[2]}, {});
    plain_adam_step(oracle, g, lr, {});
  }
  EXPECT_TRUE(same_bits(all.values, threads.values));
  EXPECT_TRUE(same_bits(all.values.narrow(0, 4, 8), third.values));
  EXPECT_LT((all.values - oracle.values).abs().max().item<float>(), 1e-6);
}

TEST(AdamW, DecaysOnlyWhereAsked) {
  auto values = at::ones({4});
  AdamWState state{at::zeros({4}), at::zeros({4}), 0};
  const auto norm = adamw_step(values, at::zeros({4}), at::tensor({1.f, 0.f, 1.f, 0.f}), state, 0.1,
                               {.weight_decay = 0.5});
  EXPECT_EQ(norm, 0);
  EXPECT_FLOAT_EQ(values[0].item<float>(), 0.95);
  EXPECT_FLOAT_EQ(values[1].item<float>(), 1);
}

}  // namespace
}  // namespace preimage::optim
