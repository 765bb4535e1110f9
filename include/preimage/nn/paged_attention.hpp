// Attention over a cache of keys and values that is cut into pages, so that sequences grow without
// being moved and share the pages of a common beginning.
#pragma once

#include <cstdint>
#include <vector>

#include "preimage/nn/attention.hpp"

namespace preimage::nn {

// Tokens of one page; also the block in which the CPU kernel sums keys.
inline constexpr int64_t kPageTokens = 16;

// [pages, kPageTokens, kv_heads * head_dim] and [pages, kPageTokens, kv_heads * value_size]; on the
// CPU keys [pages, kv_heads * head_dim, kPageTokens], as its kernel reads them.
struct LayerCache {
  at::Tensor keys, values;
};

struct KvCache {
  std::vector<LayerCache> layers;
  int64_t pages = 0;
};
// Bytes of one page over all layers.
int64_t page_bytes(const std::vector<HeadLayout>& layers, at::ScalarType dtype, at::Device device);
// `dtype` is the model's; on the CPU the cache is float32, which its kernel reads.
KvCache make_kv_cache(const std::vector<HeadLayout>& layers, int64_t pages, at::ScalarType dtype,
                      at::Device device);

// A sequence whose first `cached` tokens are in the cache and whose next `fresh` tokens go through
// the model now. pages[i] holds the tokens from i * kPageTokens on; there are enough of them for
// both. A page that two sequences share is written by neither, or by one of them in this pass.
struct PagedSequence {
  std::vector<int32_t> pages;
  int64_t cached = 0, fresh = 0;
};

// The fresh tokens of all sequences, end to end, attend to their sequence's cached tokens and to
// themselves. Each layer's fresh keys and values are written into the pages first. No gradient.
class PagedAttention : public AttentionContext {
 public:
  PagedAttention(const KvCache& cache, std::vector<PagedSequence> sequences, at::Device device);
  const at::Tensor& positions() const override { return positions_; }
  int64_t position_limit() const override { return position_limit_; }
  at::Tensor attend(int64_t layer, const at::Tensor& qkv, const HeadLayout& heads) const override;

  const std::vector<PagedSequence>& sequences() const { return sequences_; }
  const Packing& fresh() const { return fresh_; }
  const at::Tensor& slots() const { return slots_; }
  // On a GPU, where a sequence has cached tokens: all tokens that are seen, and where they lie.
  bool continues() const { return continues_; }
  const Packing& keys() const { return keys_; }
  const at::Tensor& key_slots() const { return key_slots_; }

 private:
  void append(const LayerCache& cache, const at::Tensor& qkv, const HeadLayout& heads) const;

  const KvCache& cache_;
  std::vector<PagedSequence> sequences_;
  Packing fresh_, keys_;
  bool continues_ = false;
  int64_t position_limit_ = 0;
  at::Tensor positions_;  // [tokens] int64
  at::Tensor slots_;      // [tokens] int64: page * kPageTokens + place in the page
  at::Tensor key_slots_;  // the same of all tokens that are seen
};

}  // namespace preimage::nn
