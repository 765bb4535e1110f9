// Attention over spans of keys and the activations of encoders: against plain ATen within rounding,
// and bit for bit against themselves in other company.
#include "preimage/nn/biased_attention.hpp"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "cpu/kernels.hpp"
#include "nn/tensors.hpp"
#include "preimage/nn/activations.hpp"

namespace preimage::nn {
namespace {

// Queries, keys and values as views of one fused projection.
Attended fused(const at::Tensor& qkv) {
  const auto parts = qkv.chunk(3, 1);
  return {parts[0], parts[1], parts[2]};
}

struct Shape {
  int64_t heads, head_dim;
};

class BiasedAttention : public testing::TestWithParam<Shape> {
 protected:
  const FullHeads heads{GetParam().heads, GetParam().head_dim, 0.3};
  const int64_t width = heads.heads * heads.head_dim;
  const std::vector<int64_t> lengths = {1, 40, 3, 16, 77, 33, 0, 15};
  const Packing packing = make_packing(lengths, at::kCPU);
  const at::Tensor qkv = random_tensor({packing.tokens(), 3 * width}, "qkv");
  const RelativeBias bias{random_tensor({heads.heads, 159}, "bias"), 79};
  // Queries are the last tokens of sequences whose keys stand in slots of a cache.
  const RelativeBias causal_bias{bias.table.narrow(1, 0, 80).contiguous(), 79};
};
INSTANTIATE_TEST_SUITE_P(Heads, BiasedAttention,
                         testing::Values(Shape{3, 64}, Shape{12, 32}, Shape{2, 5}, Shape{1, 130}),
                         [](const auto& shape) {
                           return "of" + std::to_string(shape.param.head_dim);
                         });

TEST_P(BiasedAttention, AgreesWithAten) {
  const auto spans = own_spans(packing);
  for (const auto& table : {bias, RelativeBias{}}) {
    EXPECT_LT(relative_error(biased_attention(fused(qkv), heads, spans, table),
                             plain_biased_attention(fused(qkv), heads, spans, table)),
              1e-6);
  }
  const auto causal = make_spans(packing, spans.keys, /*causal=*/true);
  EXPECT_LT(relative_error(biased_attention(fused(qkv), heads, causal, causal_bias),
                           plain_biased_attention(fused(qkv), heads, causal, causal_bias)),
            1e-6);
  // bfloat16 differs by the rounding of its inputs and its output alone.
  const auto half = fused(qkv.to(at::kBFloat16));
  const auto out = biased_attention(half, heads, spans, bias);
  EXPECT_EQ(out.scalar_type(), at::kBFloat16);
  const Attended wide = {half.queries.to(at::kFloat), half.keys.to(at::kFloat),
                         half.values.to(at::kFloat)};
  EXPECT_TRUE(at::equal(out, biased_attention(wide, heads, spans, bias).to(at::kBFloat16)));
}

TEST_P(BiasedAttention, CrossAttentionSeesItsSpanAlone) {
  const auto keys = random_tensor({50, 2 * width}, "keys").chunk(2, 1);
  const Attended x = {qkv.narrow(1, 0, width), keys[0], keys[1]};
  const std::vector<KeySpan> places = {{3, 20}, {0, 1},  {3, 20}, {23, 27},
                                       {49, 1}, {7, 16}, {},      {0, 50}};
  const auto spans = make_spans(packing, places, /*causal=*/false);
  const auto all = biased_attention(x, heads, spans, {});
  EXPECT_LT(relative_error(all, plain_biased_attention(x, heads, spans, {})), 1e-6);
  for (size_t s = 0; s < places.size(); ++s) {
    if (lengths[s] == 0) continue;
    const auto alone =
        make_spans(make_packing({lengths[s]}, at::kCPU), {{0, places[s].count}}, /*causal=*/false);
    const auto rows = x.queries.narrow(0, packing.offsets[s], lengths[s]);
    const Attended own = {rows.contiguous(),
                          x.keys.narrow(0, places[s].begin, places[s].count).contiguous(),
                          x.values.narrow(0, places[s].begin, places[s].count).contiguous()};
    EXPECT_TRUE(same_bits(biased_attention(own, heads, alone, {}),
                          all.narrow(0, packing.offsets[s], lengths[s])));
  }
}

TEST_P(BiasedAttention, ARowDoesNotDependOnItsCompany) {
  const int threads = at::get_num_threads();
  const auto spans = own_spans(packing);
  const auto all = biased_attention(fused(qkv), heads, spans, bias);
  for (const int count : {1, 2}) {
    at::set_num_threads(count);
    EXPECT_TRUE(same_bits(all, biased_attention(fused(qkv), heads, spans, bias)));
    for (size_t s = 0; s < lengths.size(); ++s) {
      if (lengths[s] == 0) continue;
      const auto own = own_spans(make_packing({lengths[s]}, at::kCPU));
      const auto rows = qkv.narrow(0, packing.offsets[s], lengths[s]);
      EXPECT_TRUE(same_bits(biased_attention(fused(rows), heads, own, bias),
                            all.narrow(0, packing.offsets[s], lengths[s])));
    }
  }
  at::set_num_threads(threads);
}

// Token by token over a cache, as a whole, and with a bias table that reaches further: one result.
TEST_P(BiasedAttention, DecodeRowsHaveTheBitsOfPrefill) {
  const int64_t length = 77, first = packing.offsets[4];
  const auto rows = qkv.narrow(0, first, length);
  const auto x = fused(rows);
  const auto whole = biased_attention(
      x, heads, make_spans(make_packing({length}, at::kCPU), {{0, length}}, /*causal=*/true),
      causal_bias);
  for (int64_t t = 0; t < length; ++t) {
    const auto spans = make_spans(make_packing({1}, at::kCPU), {{0, t + 1}}, /*causal=*/true);
    const Attended one = {x.queries.narrow(0, t, 1), x.keys, x.values};
    EXPECT_TRUE(same_bits(biased_attention(one, heads, spans, bias), whole.narrow(0, t, 1))) << t;
  }
}

TEST_P(BiasedAttention, EveryInstructionSetGivesTheSameBits) {
  const int64_t n = 40;
  const auto x = random_tensor({n, 3 * heads.head_dim}, "x");
  const auto table = random_tensor({2 * n + 40}, "table");
  std::vector<float> scratch(static_cast<size_t>(biased_scratch(n, heads.head_dim)));
  at::Tensor first;
  for (auto* kernels = all_cpu_kernels(); *kernels; ++kernels) {
    for (const bool causal : {false, true}) {
      auto out = at::zeros({3, n, heads.head_dim}, at::kFloat);
      BiasedTile tile{};
      tile.q = x.const_data_ptr<float>();
      tile.k = tile.q + heads.head_dim, tile.v = tile.k + heads.head_dim;
      tile.q_row = tile.kv_row = 3 * heads.head_dim;
      tile.queries = tile.keys = n, tile.head_dim = heads.head_dim, tile.scale = 0.5;
      tile.causal = causal, tile.bias = table.const_data_ptr<float>() + n + 20;
      tile.out = out.data_ptr<float>(), tile.out_row = heads.head_dim;
      tile.scratch = scratch.data();
      (*kernels)->biased_attention(tile);
      (*kernels)->gelu(tile.q, n * heads.head_dim, out[1].data_ptr<float>());
      (*kernels)->gated_gelu(tile.q, n, heads.head_dim, out[2].data_ptr<float>());
      if (causal) continue;
      if (!first.defined()) first = out;
      EXPECT_TRUE(same_bits(first, out)) << (*kernels)->name;
    }
  }
}

TEST(Activations, AgreeWithAten) {
  const auto x = random_tensor({37, 46}, "x", 3);
  const auto up = x.narrow(1, 23, 23);
  EXPECT_LT((nn::gelu(x) - at::gelu(x)).abs().max().item<double>(), 2e-6);
  EXPECT_LT((gated_gelu(x) - at::gelu(x.narrow(1, 0, 23), "tanh") * up).abs().max().item<double>(),
            1e-5);
  const auto far = at::tensor({-100.f, -20.f, -6.f, 0.f, 6.f, 20.f, 100.f}).view({1, 7});
  EXPECT_LT((nn::gelu(far) - at::gelu(far)).abs().max().item<double>(), 2e-6);
  const auto gate = at::cat({far, at::ones_like(far)}, 1);
  EXPECT_LT((gated_gelu(gate) - at::gelu(far, "tanh")).abs().max().item<double>(), 1e-6);
  EXPECT_TRUE(nn::gelu(far * NAN).isnan().all().item<bool>());
}

TEST(Activations, AnElementDoesNotDependOnItsPlace) {
  const auto x = random_tensor({301, 74}, "x", 2);
  const auto all = nn::gelu(x), gated = gated_gelu(x);
  for (const int64_t row : {0, 1, 150, 299}) {
    EXPECT_TRUE(same_bits(nn::gelu(x.narrow(0, row, 2)), all.narrow(0, row, 2)));
    EXPECT_TRUE(same_bits(gated_gelu(x.narrow(0, row, 1)), gated.narrow(0, row, 1)));
  }
}

}  // namespace
}  // namespace preimage::nn
