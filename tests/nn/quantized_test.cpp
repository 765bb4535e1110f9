// Narrow matrices: decoding against numbers written out by hand from the published formats, and
// products with them against the same products with the decoded matrix.
#include "preimage/nn/quantized.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "preimage/base/error.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::nn {
namespace {

using Codes = NarrowMatrix::Codes;

std::vector<float> floats(const at::Tensor& x) {
  const auto values = x.to(at::kFloat).contiguous();
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
}

// Not random: some spread of codes that needs no generator.
at::Tensor pattern(at::IntArrayRef shape, int64_t modulus) {
  const auto n = at::arange(c10::multiply_integers(shape), at::kLong);
  return ((n * 2654435761LL + n * n * 97) % modulus).view(shape);
}

TEST(Quantized, Mxfp4ByHand) {
  NarrowMatrix m{.format = Codes::mxfp4, .rows = 1, .columns = 32, .block_columns = 32};
  m.codes = at::zeros({1, 16}, at::kByte);
  const std::vector<int> bytes = {0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE};
  for (size_t i = 0; i < bytes.size(); ++i) m.codes[0][static_cast<int64_t>(i)] = bytes[i];
  m.scales = at::full({1, 1}, 128, at::kByte);  // 2
  auto values = floats(decode_rows(m, 0, 1, at::kFloat));
  values.resize(16);
  EXPECT_THAT(values,
              testing::ElementsAre(0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12));
  for (const int exponent : {0, 1, 2, 127, 200, 254}) {
    m.scales.fill_(exponent);
    EXPECT_EQ(floats(decode_rows(m, 0, 1, at::kFloat))[2], std::ldexp(1.0f, exponent - 127));
  }
  m.scales.fill_(255);
  EXPECT_THROW(require_finite(m, "m"), base::Error);
}

TEST(Quantized, Int4ByHand) {
  NarrowMatrix m{.format = Codes::int4, .rows = 1, .columns = 16, .block_columns = 8};
  m.codes = at::tensor({static_cast<int>(0xFEDCBA98), 0x76543210}, at::kInt).view({1, 2});
  m.scales = at::tensor({1.0f, 0.5f}).view({1, 2});
  EXPECT_THAT(
      floats(decode_rows(m, 0, 1, at::kFloat)),
      testing::ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, -4, -3.5f, -3, -2.5f, -2, -1.5f, -1, -0.5f));
}

// Blocks of 3 x 4 over 7 x 10: the last of each row and column are partial.
TEST(Quantized, Fp8BlocksWithPartialEdges) {
  NarrowMatrix m{
      .format = Codes::fp8, .rows = 7, .columns = 10, .block_rows = 3, .block_columns = 4};
  const auto values = pattern({7, 10}, 31).to(at::kFloat) - 15;
  m.codes = values.to(at::kFloat8_e4m3fn);
  m.scales = 0.5f + pattern({3, 3}, 7).to(at::kFloat);
  const auto decoded = decode_rows(m, 0, 7, at::kFloat);
  for (int64_t r = 0; r < 7; ++r) {
    for (int64_t c = 0; c < 10; ++c) {
      EXPECT_EQ(decoded[r][c].item<float>(),
                m.codes.to(at::kFloat)[r][c].item<float>() * m.scales[r / 3][c / 4].item<float>());
    }
  }
  EXPECT_TRUE(at::equal(decode_rows(m, 2, 5, at::kFloat), decoded.narrow(0, 2, 3)));
  m.codes.view(at::kByte)[3][3] = 0xFF;
  EXPECT_THROW(require_finite(m, "m"), base::Error);
}

TEST(Quantized, RowsAreWithinHalfAStep) {
  auto matrix = at::sin(at::arange(24 * 40, at::kFloat)).view({24, 40});
  matrix[3].zero_();
  const auto int8 = quantize_rows(matrix, Codes::int8), fp8 = quantize_rows(matrix, Codes::fp8);
  const auto far = [&](const NarrowMatrix& m) {
    return (decode_rows(m, 0, 24, at::kFloat) - matrix).abs() /
           matrix.abs().amax(1, true).clamp_min(1e-30);
  };
  EXPECT_LE(far(int8).max().item<float>(), 0.5 / 127 * 1.001);
  // Three bits of mantissa: half a step is 2^-4 of the number.
  EXPECT_LE(far(fp8).max().item<float>(), 0x1p-4 * 1.001);
  EXPECT_EQ(int8.bytes(), 24 * 40 + 24 * 4);
  EXPECT_TRUE(at::equal(decode_rows(int8, 3, 4, at::kFloat), at::zeros({1, 40})));
}

// E4M3 has three bits of mantissa: between 1 and 2 a step is 1/8, between 32 and 64 it is 4.
TEST(Quantized, InputsAreRoundedByRow) {
  NarrowMatrix m{.format = Codes::fp8, .rows = 2, .columns = 3, .block_columns = 3};
  m.codes = at::tensor({1.0f, 2.0f, 0.0f, -1.0f, 0.5f, 1.0f}).view({2, 3}).to(at::kFloat8_e4m3fn);
  m.scales = at::tensor({1.0f, 4.0f}).view({2, 1});
  m.rounds_input = true;
  const Weight weight(m, at::tensor({100.0f, 0.25f}));
  // Row 0: scale 1, so 1.0625 becomes 1 and 35 becomes 36 (ties to even codes); row 1: scale 1/2,
  // so its numbers are rounded as 448, 2.125 (2) and 70 (72).
  const auto x = at::tensor({448.0f, 1.0625f, 35.0f, 224.0f, 1.0625f, 35.0f}).view({2, 3});
  const auto y = linear(x, weight);
  EXPECT_THAT(floats(y), testing::ElementsAre(448 + 2 + 100, 4 * (-448 + 0.5f + 36) + 0.25f,
                                              224 + 2 + 100, 4 * (-224 + 0.5f + 36) + 0.25f));
  EXPECT_TRUE(at::equal(linear(x.narrow(0, 1, 1), weight), y.narrow(0, 1, 1)));
  // The gradient passes the rounding by.
  const auto dx = linear_input_gradient(at::tensor({1.0f, 1.0f}).view({1, 2}), weight);
  EXPECT_THAT(floats(dx), testing::ElementsAre(1 - 4, 2 + 2, 4));
  m.block_columns = 2;
  m.scales = at::ones({2, 2});
  EXPECT_THROW(Weight(m, {}), base::Error);
}

NarrowMatrix some_matrix(Codes format, int64_t rows, int64_t columns) {
  NarrowMatrix m{.format = format, .rows = rows, .columns = columns, .block_columns = 32};
  m.scales = (1 + pattern({rows, columns / 32}, 9).to(at::kFloat)) / 64;
  switch (format) {
    case Codes::int8:
      m.codes = (pattern({rows, columns}, 255) - 127).to(at::kChar);
      break;
    case Codes::fp8:
      m.codes = (pattern({rows, columns}, 255) - 127).to(at::kFloat8_e4m3fn);
      break;
    case Codes::int4:
      m.codes = pattern({rows, columns / 8}, 1LL << 31).to(at::kInt);
      break;
    case Codes::mxfp4:
      m.codes = pattern({rows, columns / 2}, 256).to(at::kByte);
      m.scales = (pattern({rows, columns / 32}, 9) + 118).to(at::kByte);
      break;
  }
  return m;
}

class NarrowProducts : public testing::TestWithParam<Codes> {};
INSTANTIATE_TEST_SUITE_P(All, NarrowProducts,
                         testing::Values(Codes::int8, Codes::fp8, Codes::int4, Codes::mxfp4));

// In float32 on the CPU the narrow product is the dense one to the bit: the same chains.
TEST_P(NarrowProducts, AreThoseOfTheDecodedMatrix) {
  const auto upper = some_matrix(GetParam(), 40, 96), lower = some_matrix(GetParam(), 33, 96);
  const auto bias = at::cos(at::arange(73, at::kFloat));
  const auto narrow = stacked({Weight(upper), Weight(lower)}, bias);
  const Weight dense(narrow.dense(at::kFloat), bias);
  EXPECT_EQ(narrow.out_features(), 73);
  EXPECT_EQ(narrow.bytes(), upper.bytes() + lower.bytes() + 73 * 4);
  for (const int64_t rows : {1, 5, 30}) {
    const auto start = at::sin(at::arange(rows * 96, at::kFloat)).view({rows, 96});
    const auto x = start.clone().requires_grad_(), y = start.clone().requires_grad_();
    const auto ours = linear(x, narrow), theirs = linear(y, dense);
    EXPECT_TRUE(at::equal(ours, theirs));
    const auto seed = at::cos(at::arange(ours.numel(), at::kFloat)).view_as(ours);
    EXPECT_TRUE(at::equal(torch::autograd::grad({ours}, {x}, {seed})[0],
                          torch::autograd::grad({theirs}, {y}, {seed})[0]));
    EXPECT_TRUE(at::equal(linear_input_gradient(seed, narrow), linear_input_gradient(seed, dense)));
  }
}

TEST_P(NarrowProducts, InBfloat16) {
  const Weight narrow(some_matrix(GetParam(), 40, 96));
  const auto x = at::sin(at::arange(7 * 96, at::kFloat)).view({7, 96}).to(at::kBFloat16);
  const auto exact = at::matmul(x.to(at::kDouble), narrow.dense(at::kFloat).to(at::kDouble).t());
  const auto far = (linear(x, narrow).to(at::kDouble) - exact).abs().max() / exact.abs().max();
  EXPECT_LT(far.item<double>(), 0x1p-7);
}

}  // namespace
}  // namespace preimage::nn
