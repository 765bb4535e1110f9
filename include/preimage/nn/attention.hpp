// Causal attention over packed sequences and over a cache, with grouped query heads. The keys of a
// row are summed in fixed blocks by absolute position: prefill, decode and any batch give the same
// bits.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace preimage::nn {

struct HeadLayout {
  int64_t query_heads = 0;
  int64_t kv_heads = 0;  // divides query_heads; head h reads kv head h / (query_heads / kv_heads)
  int64_t head_dim = 0;
  double scale = 0;  // usually head_dim^-1/2
  int64_t width() const { return (query_heads + 2 * kv_heads) * head_dim; }
};

// Where each sequence begins in a packed batch.
struct Packing {
  std::vector<int64_t> offsets;  // [sequences + 1], from 0 to the number of tokens
  at::Tensor offsets_device;     // the same as int32 on the device of the batch
  int64_t longest = 0;
  int64_t sequences() const { return static_cast<int64_t>(offsets.size()) - 1; }
  int64_t tokens() const { return offsets.back(); }
};
Packing make_packing(const std::vector<int64_t>& lengths, at::Device device);
// [tokens] int64: the position of each token in its sequence, where sequence s starts at first[s]
// (at 0 when `first` is empty).
at::Tensor packed_positions(const Packing& packing, const std::vector<int64_t>& first = {});

// qkv [tokens, width()]: queries, keys, values of each token, already rotated -> [tokens,
// query_heads * head_dim]. Every sequence is its own causal block. Differentiable.
at::Tensor attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing);
at::Tensor plain_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing);

// Keys and values of one layer: [rows, capacity, kv_heads * head_dim] each.
struct LayerCache {
  at::Tensor keys, values;
};

// Which row of the cache each sequence of a packed batch owns, and how many tokens it holds there.
struct CachePlaces {
  std::vector<int64_t> rows, lengths;
};

// The new tokens of each sequence (packed; rotated) attend to their sequence's cached keys and to
// themselves. Writes the new keys and values behind the cached ones first. No gradient.
at::Tensor cached_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing,
                            const LayerCache& cache, const CachePlaces& places);

}  // namespace preimage::nn
