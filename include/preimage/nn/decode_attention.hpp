// One new token of each sequence over a paged cache, on a GPU, with everything that differs from
// step to step in tensors of the device: the work can be captured once in a CUDA graph.
#pragma once

#include "preimage/nn/paged_attention.hpp"

namespace preimage::nn {

// Keys that one block of threads reads; longer sequences are cut at its multiples, always, so that
// the order of summation depends on the sequence alone.
inline constexpr int64_t kDecodeChunk = 512;

// Whether the decode and prefill kernels read this layer's cache: on CUDA bfloat16 with heads of
// 64, 128, or 192 and 128, and float32 with heads of at most 256.
bool decode_attention_supports(const HeadLayout& heads, at::ScalarType dtype, at::Device device);

class DecodeAttention : public AttentionContext {
 public:
  // positions [batch] int64: of the new token of each row, and so the number of its cached tokens;
  // pages [batch, most] int32. No position reaches chunks * kDecodeChunk. The tensors are read when
  // the kernels run.
  DecodeAttention(const KvCache& cache, at::Tensor positions, at::Tensor pages, int64_t chunks);
  const at::Tensor& positions() const override { return positions_; }
  int64_t position_limit() const override { return pages_.size(1) * kPageTokens; }
  at::Tensor attend(int64_t layer, const at::Tensor& qkv, const HeadLayout& heads) const override;

 private:
  const KvCache& cache_;
  at::Tensor positions_, pages_;
  int64_t chunks_;
};

}  // namespace preimage::nn
