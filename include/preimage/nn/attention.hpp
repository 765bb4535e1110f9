// Causal attention with grouped query heads, sliding windows and sinks. A model's forward pass does
// not know where the keys are: it asks an AttentionContext. The keys of a row are summed in fixed
// blocks by absolute position: prefill, decode and any batch give the same bits.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

namespace preimage::nn {

// The heads of one layer and what a query sees.
struct HeadLayout {
  int64_t query_heads = 0;
  int64_t kv_heads = 0;   // divides query_heads; head h reads kv head h / (query_heads / kv_heads)
  int64_t head_dim = 0;   // of queries and keys
  double scale = 0;       // usually head_dim^-1/2
  int64_t value_dim = 0;  // of values; 0: head_dim
  int64_t sliding_window = 0;  // a token sees itself and the window - 1 before it; 0: all before it
  // [query_heads] float32, or undefined: a logit that each row's softmax counts and that has no
  // value (Agarwal et al. 2025, gpt-oss). Frozen: no gradient.
  at::Tensor sinks;

  int64_t value_size() const { return value_dim == 0 ? head_dim : value_dim; }
  int64_t width() const { return query_heads * head_dim + kv_heads * (head_dim + value_size()); }
  int64_t out_width() const { return query_heads * value_size(); }
};

// What the layers of a model must know of the tokens that go through it together. Implemented by
// PackedAttention (below) and PagedAttention (nn/paged_attention.hpp).
class AttentionContext {
 public:
  virtual ~AttentionContext() = default;
  // [tokens] int64 on the model's device: the place of each token in its sequence, from 0.
  virtual const at::Tensor& positions() const = 0;
  // Above every position: how many rows a table of positions needs.
  virtual int64_t position_limit() const = 0;
  // qkv [tokens, heads.width()]: all queries, all keys, all values of each token, already rotated
  // -> [tokens, heads.out_width()], in the dtype of qkv. `layer` counts the layers that attend.
  virtual at::Tensor attend(int64_t layer, const at::Tensor& qkv,
                            const HeadLayout& heads) const = 0;
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

// Whole sequences, each its own causal block; nothing is kept. Differentiable.
class PackedAttention : public AttentionContext {
 public:
  explicit PackedAttention(Packing packing);
  const at::Tensor& positions() const override { return positions_; }
  int64_t position_limit() const override { return packing_.longest; }
  at::Tensor attend(int64_t layer, const at::Tensor& qkv, const HeadLayout& heads) const override;

 private:
  Packing packing_;
  at::Tensor positions_;
};

// What PackedAttention computes.
at::Tensor attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing);
// The same in plain ATen: the oracle of the kernels, and the path of dtypes that have none.
at::Tensor plain_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing);

}  // namespace preimage::nn
