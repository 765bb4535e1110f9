// Attention against its plain ATen form, values and gradients; and bit for bit against itself:
// packed, over pages, in other company, with another number of threads, by another instruction set.
#include "preimage/nn/paged_attention.hpp"

#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <numeric>

#include "cpu/kernels.hpp"
#include "nn/tensors.hpp"

namespace preimage::nn {
namespace {

struct AttentionCase {
  int64_t query_heads, kv_heads, head_dim;
  double scale;
  int64_t value_dim, window;
  bool sinks;
  std::vector<int64_t> lengths;

  HeadLayout heads() const {
    HeadLayout layout{query_heads, kv_heads, head_dim, scale, value_dim, window};
    if (sinks) layout.sinks = random_tensor({query_heads}, "sinks", 2);
    return layout;
  }
};

const std::vector<AttentionCase> kCases = {
    {4, 2, 64, 0.125, 0, 0, false, {1, 17, 40, 33, 100}},
    {2, 2, 8, 0.3, 0, 0, false, {5, 16, 31}},
    {6, 1, 24, 0.2, 0, 0, false, {48, 3}},
    {3, 3, 24, 0.2, 16, 0, false, {33, 70}},  // keys wider than values
    {4, 2, 16, 0.25, 0, 20, false, {1, 19, 20, 21, 90}},
    {4, 2, 64, 0.125, 0, 0, true, {1, 40, 65}},
    {4, 2, 24, 0.2, 40, 7, true, {5, 16, 80}},
};

TEST(Attention, AgreesWithAten) {
  for (const auto& one : kCases) {
    const auto heads = one.heads();
    const auto packing = make_packing(one.lengths, at::kCPU);
    auto qkv = random_tensor({packing.tokens(), heads.width()}, "qkv").requires_grad_();
    const auto ours = attention(qkv, heads, packing), oracle = plain_attention(qkv, heads, packing);
    EXPECT_LT(relative_error(ours, oracle), 1e-6);
    EXPECT_LT(relative_error(gradients(ours, {qkv})[0], gradients(oracle, {qkv})[0]), 2e-6);
  }
}

TEST(Attention, AWindowForgetsAndASinkTakesItsShare) {
  // One head of two numbers, equal scores: the weights are one over the number of what is seen.
  const auto qkv = at::tensor({0.f, 0.f, 0.f, 0.f, 3.f, 0.f,    //
                               0.f, 0.f, 0.f, 0.f, 0.f, 6.f,    //
                               0.f, 0.f, 0.f, 0.f, 12.f, 0.f})  //
                       .view({3, 6});
  const auto packing = make_packing({3}, at::kCPU);
  HeadLayout heads{1, 1, 2, 1.0};
  heads.sliding_window = 2;
  EXPECT_TRUE(at::allclose(attention(qkv, heads, packing),
                           at::tensor({3.f, 0.f, 1.5f, 3.f, 6.f, 3.f}).view({3, 2})));
  heads.sinks = at::zeros({1});
  EXPECT_TRUE(at::allclose(attention(qkv, heads, packing),
                           at::tensor({1.5f, 0.f, 1.f, 2.f, 4.f, 2.f}).view({3, 2})));
}

// Feeds `own` (one sequence) through a cache in steps of the given sizes, over scattered pages.
at::Tensor through_pages(const at::Tensor& own, const HeadLayout& heads, int64_t prefill) {
  const int64_t length = own.size(0), count = (length + kPageTokens - 1) / kPageTokens;
  const auto cache = make_kv_cache({heads}, 2 * count + 1, own.scalar_type(), at::kCPU);
  std::vector<int32_t> pages;
  for (int64_t p = 0; p < count; ++p) pages.push_back(static_cast<int32_t>(2 * (count - p)));
  std::vector<at::Tensor> out;
  for (int64_t cached = 0, fresh = prefill; cached < length; cached += fresh, fresh = 1) {
    const PagedAttention context(cache, {{pages, cached, fresh}}, at::kCPU);
    out.push_back(context.attend(0, own.narrow(0, cached, fresh), heads));
  }
  return at::cat(out);
}

TEST(Attention, PrefillDecodeAndAnyBatchGiveTheSameBits) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    for (const auto& one : kCases) {
      const auto heads = one.heads();
      const auto packing = make_packing(one.lengths, at::kCPU);
      const auto qkv = random_tensor({packing.tokens(), heads.width()}, "qkv").to(dtype);
      at::set_num_threads(2);
      const auto all = attention(qkv, heads, packing);
      at::set_num_threads(1);
      EXPECT_TRUE(at::equal(all, attention(qkv, heads, packing)));
      for (int64_t s = 0; s < packing.sequences(); ++s) {
        const int64_t first = packing.offsets[s], length = one.lengths[static_cast<size_t>(s)];
        const auto own = qkv.narrow(0, first, length).contiguous();
        const auto expected = all.narrow(0, first, length);
        EXPECT_TRUE(at::equal(expected, attention(own, heads, make_packing({length}, at::kCPU))));
        for (const int64_t prefill : {int64_t{1}, (length + 2) / 3, length})
          EXPECT_TRUE(at::equal(expected, through_pages(own, heads, prefill))) << prefill;
      }
    }
  }
}

TEST(Attention, SequencesShareThePagesOfTheirBeginning) {
  const HeadLayout heads{4, 2, 16, 0.25};
  const auto prefix = random_tensor({32, heads.width()}, "prefix");
  std::vector<at::Tensor> tails, expected, rows = {prefix};
  std::vector<PagedSequence> sequences = {{{0, 1}, 0, 32}};
  for (int32_t i = 0; i < 3; ++i) {
    tails.push_back(random_tensor({5 + 9 * i, heads.width()}, "tail" + std::to_string(i)));
    rows.push_back(tails.back());
    // Two pages of their own each; the prefix is written in this very pass.
    sequences.push_back({{0, 1, 2 * i + 2, 2 * i + 3}, 32, tails.back().size(0)});
  }
  const auto cache = make_kv_cache({heads}, 8, at::kFloat, at::kCPU);
  const auto out = PagedAttention(cache, sequences, at::kCPU).attend(0, at::cat(rows), heads);
  int64_t first = 32;
  for (const auto& tail : tails) {
    const auto whole = at::cat({prefix, tail});
    const auto alone = attention(whole, heads, make_packing({whole.size(0)}, at::kCPU));
    EXPECT_TRUE(same_bits(alone.narrow(0, 32, tail.size(0)), out.narrow(0, first, tail.size(0))));
    first += tail.size(0);
  }
}

TEST(Attention, EveryInstructionSetGivesTheSameBits) {
  const int64_t tokens = 75;
  const auto qkv = random_tensor({tokens, 3 * 72}, "qkv");
  const auto sinks = random_tensor({1}, "sinks");
  std::vector<int32_t> pages(5);
  std::iota(pages.begin(), pages.end(), 0);
  const auto keys = at::constant_pad_nd(qkv.narrow(1, 72, 72), {0, 0, 0, 5})
                        .view({5, kPageTokens, 72})
                        .transpose(1, 2)
                        .contiguous();
  std::vector<at::Tensor> first;
  for (const auto* const* table = all_cpu_kernels(); *table; ++table) {
    std::vector<at::Tensor> out = {at::zeros({tokens, 72}), at::zeros({tokens, 1}),
                                   at::zeros({tokens, 3 * 72})};
    auto scratch = at::empty({attention_scratch(tokens, 1, 72)});
    const float* data = qkv.const_data_ptr<float>();
    AttentionTile tile{};
    tile.q = data, tile.k = keys.const_data_ptr<float>(), tile.v = data + 144;
    tile.pages = pages.data(), tile.k_page = keys.stride(0);
    tile.q_row = tile.k_row = tile.v_row = 3 * 72;
    tile.queries = tokens, tile.group = 1, tile.head_dim = tile.value_dim = 72, tile.window = 30;
    tile.scale = 0.1f, tile.sinks = sinks.const_data_ptr<float>();
    tile.out = out[0].data_ptr<float>(), tile.out_row = 72;
    tile.lse = out[1].data_ptr<float>(), tile.lse_row = 1;
    tile.scratch = scratch.data_ptr<float>();
    (*table)->attention(tile);
    float* grads = out[2].data_ptr<float>();
    tile.pages = nullptr, tile.k = data + 72;
    (*table)->attention_backward({tile, data, grads, grads + 72, grads + 144});
    if (first.empty()) first = out;
    for (size_t i = 0; i < out.size(); ++i)
      EXPECT_TRUE(same_bits(first[i], out[i])) << (*table)->name << " output " << i;
  }
}

}  // namespace
}  // namespace preimage::nn
