// Each kernel against its plain ATen form within rounding, values and gradients; and bit for bit
// against itself with other neighbours, another number of threads, another instruction set.
#include "preimage/nn/layers.hpp"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include "cpu/kernels.hpp"
#include "nn/tensors.hpp"

namespace preimage::nn {
namespace {

TEST(Linear, AgreesWithAten) {
  for (const auto& [rows, in, out] : std::vector<std::array<int64_t, 3>>{
           {1, 8, 5}, {17, 96, 33}, {200, 256, 768}, {33, 770, 31}}) {
    auto x = random_tensor({rows, in}, "x").requires_grad_();
    auto w = random_tensor({out, in}, "w", 0.1).requires_grad_();
    auto b = random_tensor({out}, "b").requires_grad_();
    const auto ours = linear(x, Weight(w, b));
    const auto oracle = plain_linear(x, w, b);
    EXPECT_LT(relative_error(ours, oracle), 1e-6);
    const auto g = gradients(ours, {x, w, b}), h = gradients(oracle, {x, w, b});
    for (size_t i = 0; i < 3; ++i) EXPECT_LT(relative_error(g[i], h[i]), 1e-6) << i;
  }
}

TEST(Linear, RowsDoNotDependOnTheBatchOrTheThreads) {
  const auto x = random_tensor({300, 256}, "x");
  const Weight w(random_tensor({6144, 256}, "w"));
  at::set_num_threads(1);
  const auto all = linear(x, w), back = linear_input_gradient(all, w);
  at::set_num_threads(2);
  EXPECT_TRUE(same_bits(all, linear(x, w)));
  EXPECT_TRUE(same_bits(back, linear_input_gradient(all, w)));
  for (const int64_t rows : {1, 2, 3, 5, 7, 13, 14, 15, 64}) {
    EXPECT_TRUE(same_bits(all.narrow(0, 100, rows), linear(x.narrow(0, 100, rows).contiguous(), w)))
        << rows;
    EXPECT_TRUE(same_bits(back.narrow(0, 100, rows),
                          linear_input_gradient(all.narrow(0, 100, rows).contiguous(), w)))
        << rows;
  }
}

// bfloat16: the same chains over rounded numbers, so the float32 product of them, rounded.
TEST(Linear, BfloatIsTheRoundedFloatProduct) {
  auto x = random_tensor({33, 96}, "x").to(at::kBFloat16).requires_grad_();
  const auto w = random_tensor({50, 96}, "w").to(at::kBFloat16);
  const auto b = random_tensor({50}, "b").to(at::kBFloat16);
  const auto ours = linear(x, Weight(w, b));
  auto wide = x.detach().to(at::kFloat).requires_grad_();
  const auto full = linear(wide, Weight(w.to(at::kFloat), b.to(at::kFloat)));
  EXPECT_TRUE(at::equal(ours, full.to(at::kBFloat16)));
  const auto g = torch::autograd::grad({ours.sum()}, {x})[0];
  const auto h = torch::autograd::grad({full.sum()}, {wide})[0];
  EXPECT_TRUE(at::equal(g, h.to(at::kBFloat16)));
  for (const int64_t rows : {1, 2, 5, 14, 15})
    EXPECT_TRUE(at::equal(ours.narrow(0, 7, rows), linear(x.narrow(0, 7, rows), Weight(w, b))));
}

TEST(Kernels, EveryInstructionSetGivesTheSameBits) {
  const auto x = random_tensor({29, 70}, "x"), w = random_tensor({2, 70, kPanel}, "w"),
             gate_up = random_tensor({29, 2 * 35}, "g", 20), half = w.to(at::kBFloat16);
  std::vector<at::Tensor> first;
  for (const auto* const* table = all_cpu_kernels(); *table; ++table) {
    std::vector<at::Tensor> out = {at::zeros({29, 50}), at::zeros({29, 35}), at::zeros({29, 70}),
                                   at::zeros({29, 70}), at::zeros({29}),     x.clone(),
                                   at::zeros({29, 50})};
    GemmTile tile{.a = x.const_data_ptr<float>(),
                  .a_row = 70,
                  .a_col = 1,
                  .packed = w.const_data_ptr<float>(),
                  .packed_bf16 = nullptr,
                  .bias = nullptr,
                  .c = out[0].data_ptr<float>(),
                  .c_row = 50,
                  .depth = 70,
                  .columns = 50,
                  .accumulate = false};
    (*table)->gemm(tile, 0, 29, 0, 2);
    tile.packed_bf16 = reinterpret_cast<const uint16_t*>(half.const_data_ptr<at::BFloat16>());
    tile.c = out[6].data_ptr<float>();
    (*table)->gemm(tile, 0, 29, 0, 2);
    (*table)->swiglu(gate_up.const_data_ptr<float>(), 29, 35, out[1].data_ptr<float>());
    (*table)->swiglu_backward(out[1].const_data_ptr<float>(), gate_up.const_data_ptr<float>(), 29,
                              35, out[2].data_ptr<float>());
    (*table)->rms_norm(x.const_data_ptr<float>(), w.const_data_ptr<float>(), 1e-6f, 29, 70,
                       out[3].data_ptr<float>(), out[4].data_ptr<float>());
    for (int64_t row = 0; row < 29; ++row)
      (*table)->softmax_nll(out[5].data_ptr<float>() + row * 70, 70, row, 0.5f, true);
    if (first.empty()) first = out;
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_TRUE(same_bits(first[i], out[i])) << (*table)->name << " output " << i;
  }
}

TEST(RmsNorm, AgreesWithAten) {
  for (const int64_t width : {8, 250, 256}) {
    auto x = random_tensor({37, width}, "x", 3).requires_grad_();
    auto w = random_tensor({width}, "w").requires_grad_();
    const auto ours = rms_norm(x, w, 1e-6), oracle = plain_rms_norm(x, w, 1e-6);
    EXPECT_LT(relative_error(ours, oracle), 1e-6);
    const auto g = gradients(ours, {x, w}), h = gradients(oracle, {x, w});
    EXPECT_LT(relative_error(g[0], h[0]), 2e-6);
    EXPECT_LT(relative_error(g[1], h[1]), 2e-6);
  }
}

TEST(AddRmsNorm, IsTheSumAndItsNorm) {
  const auto w = random_tensor({48}, "w");
  for (const bool wide : {false, true}) {
    for (const auto dtype : {at::kFloat, at::kBFloat16}) {
      auto x = random_tensor({9, 48}, "x", 3).to(dtype).requires_grad_();
      auto y = random_tensor({9, 48}, "y").to(dtype).requires_grad_();
      const auto ours = add_rms_norm(x, y, w.to(dtype), {1e-5, wide});
      EXPECT_TRUE(at::equal(ours.sum, x + y));
      // One rounding, after the weight, or another before it.
      const auto sum = (x + y).detach().to(at::kFloat);
      const auto normed = sum * at::rsqrt(sum.square().mean(1, true) + 1e-5);
      const auto truth =
          (wide ? normed : normed.to(dtype).to(at::kFloat)) * w.to(dtype).to(at::kFloat);
      EXPECT_LT(relative_error(ours.normed, truth), dtype == at::kFloat ? 1e-6 : 3e-3);
      const auto g = gradients(ours.sum + ours.normed, {x, y});
      EXPECT_TRUE(at::equal(g[0], g[1]));
    }
  }
}

TEST(Swiglu, AgreesWithAtenAlsoFarOut) {
  for (const double scale : {1.0, 60.0}) {
    auto x = random_tensor({37, 2 * 77}, "x", scale).requires_grad_();
    const auto ours = swiglu(x), oracle = plain_swiglu(x);
    EXPECT_LT(relative_error(ours, oracle), 1e-6);
    EXPECT_LT(relative_error(gradients(ours, {x})[0], gradients(oracle, {x})[0]), 1e-6);
    EXPECT_TRUE(at::isfinite(ours).all().item<bool>());
  }
}

TEST(Rotary, TurnsBackToTheStart) {
  const auto angle = random_tensor({64, 4}, "angle");
  const RotaryTable table{angle.cos(), angle.sin()};
  const auto positions = at::arange(20, at::kLong);
  auto x =
      random_tensor({20, 40}, "x").requires_grad_();  // 3 heads of 8 are turned, 16 columns copied
  const auto y = rotary(x, table, positions, 3);
  EXPECT_TRUE(same_bits(y.narrow(1, 24, 16), x.narrow(1, 24, 16)));
  EXPECT_LT(relative_error(y.narrow(1, 0, 24).norm(2, 1), x.narrow(1, 0, 24).norm(2, 1)), 1e-6);
  // The gradient of |y|^2 / 2 is the rotation undone: x itself.
  EXPECT_LT(relative_error(torch::autograd::grad({y.square().sum() / 2}, {x})[0], x), 1e-6);
}

// Qwen3: each head of queries and keys is normed before it is turned; values stay.
TEST(NormedRotary, NormsEachHeadThenTurnsIt) {
  const auto angle = random_tensor({64, 4}, "angle");
  const RotaryTable table{angle.cos(), angle.sin()};
  const auto positions = at::arange(20, at::kLong) * 3;
  const HeadNorms norms{random_tensor({8}, "q"), random_tensor({8}, "k"), 2, 1, 1e-6};
  const auto qkv = random_tensor({20, 32}, "x");
  const auto ours = normed_rotary(qkv.clone(), norms, table, positions);
  EXPECT_TRUE(same_bits(ours.narrow(1, 24, 8), qkv.narrow(1, 24, 8)));
  for (int64_t head = 0; head < 3; ++head) {
    const auto x = qkv.narrow(1, head * 8, 8).to(at::kDouble);
    const auto weight = (head < 2 ? norms.query_weight : norms.key_weight).to(at::kDouble);
    const auto n = x / (x.square().mean(1, true) + 1e-6).sqrt() * weight;
    const auto cos = table.cos.index_select(0, positions).to(at::kDouble);
    const auto sin = table.sin.index_select(0, positions).to(at::kDouble);
    const auto low = n.narrow(1, 0, 4), high = n.narrow(1, 4, 4);
    const auto truth = at::cat({low * cos - high * sin, high * cos + low * sin}, 1);
    EXPECT_LT(relative_error(ours.narrow(1, head * 8, 8), truth), 1e-6) << head;
  }
}

TEST(CrossEntropy, NumericValuesOfTheReference) {
  // Reference test value 3: logits rows (2,0,1), (0,3,0), (1,1,1) with labels 0, 1, 2.
  const auto logits = at::tensor({2.f, 0.f, 1.f, 0.f, 3.f, 0.f, 1.f, 1.f, 1.f}).view({3, 3});
  const auto out = linear_cross_entropy(logits, Weight(at::eye(3)), at::arange(3, at::kLong),
                                        at::full({3}, 1.0 / 3));
  EXPECT_NEAR(out.nll[0].item<double>(), 0.407605964444, 1e-6);
  EXPECT_NEAR(out.nll[1].item<double>(), 0.094922956421, 1e-6);
  EXPECT_NEAR(out.nll[2].item<double>(), 1.098612288668, 1e-6);
  EXPECT_NEAR(out.loss.item<double>(), 0.533713736511, 1e-6);
  // In the last row all logits are equal: greedy decoding takes id 0, not the label 2.
  EXPECT_TRUE(out.greedy[0].item<bool>());
  EXPECT_TRUE(out.greedy[1].item<bool>());
  EXPECT_FALSE(out.greedy[2].item<bool>());
}

TEST(CrossEntropy, AgreesWithAten) {
  auto hidden = random_tensor({70, 48}, "h").requires_grad_();
  auto matrix = random_tensor({1003, 48}, "w").requires_grad_();
  const auto targets = at::arange(70, at::kLong) * 14;
  const auto weights = random_tensor({70}, "weights").abs();
  const auto ours = linear_cross_entropy(hidden, Weight(matrix), targets, weights);
  const auto nll =
      -at::log_softmax(at::linear(hidden, matrix), 1).gather(1, targets.unsqueeze(1)).squeeze(1);
  EXPECT_LT(relative_error(ours.nll, nll), 1e-6);
  const auto g = torch::autograd::grad({ours.loss}, {hidden, matrix});
  const auto h = torch::autograd::grad({(nll * weights).sum()}, {hidden, matrix});
  EXPECT_LT(relative_error(g[0], h[0]), 2e-6);
  EXPECT_LT(relative_error(g[1], h[1]), 2e-6);
}

TEST(CrossEntropy, NanStaysNan) {
  auto hidden = at::full({2, 16}, std::nanf(""));
  EXPECT_TRUE(std::isnan(linear_cross_entropy(hidden, Weight(random_tensor({40, 16}, "w")),
                                              at::zeros({2}, at::kLong), at::ones({2}))
                             .loss.item<float>()));
}

}  // namespace
}  // namespace preimage::nn
