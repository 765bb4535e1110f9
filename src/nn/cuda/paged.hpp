// Launchers of the kernels over a paged cache, on the current stream. bfloat16.
#pragma once

#include <ATen/core/Tensor.h>

#include "preimage/nn/paged_attention.hpp"

namespace preimage::nn {

// Writes keys and values of qkv [tokens, width] into the rows slots [tokens] int64 of the cache.
void cuda_append(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                 const at::Tensor& slots);

struct DecodeBatch {
  const at::Tensor& positions;  // [batch] int64
  const at::Tensor& pages;      // [batch, most] int32
  int64_t chunks;
};
// Appends the new token of each row and attends. out [batch, heads.out_width()].
void cuda_decode(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                 const DecodeBatch& batch, at::Tensor& out);

}  // namespace preimage::nn
