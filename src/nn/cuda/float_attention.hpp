// Causal attention in float32 on CUDA: packed sequences with a backward pass, the last tokens of
// longer sequences, and one new token each over a paged cache. A query goes through its keys in
// blocks of 32 by their position: prefill, decode and any batch give the same bits.
#pragma once

#include "cuda/attention.hpp"
#include "cuda/paged.hpp"
#include "preimage/nn/attention.hpp"

namespace preimage::nn {

bool cuda_float_attention_supports(at::ScalarType dtype, const HeadLayout& heads);
// Packed sequences; offsets [sequences + 1] int32 on the device.
struct FloatAttended {
  at::Tensor out;  // [tokens, heads.out_width()]
  at::Tensor lse;  // [tokens, query_heads]: log of the sum over the keys and the sink
};
void cuda_float_attention_forward(const at::Tensor& qkv, const HeadLayout& heads,
                                  const at::Tensor& offsets, FloatAttended& to);
struct FloatGradient {
  const at::Tensor &qkv, &offsets, &d_out;
  const FloatAttended& attended;
};
void cuda_float_attention_backward(const FloatGradient& of, const HeadLayout& heads,
                                   at::Tensor& d_qkv);
at::Tensor cuda_float_prefix_attention(const PrefixQuery& call, const HeadLayout& heads);
// Writes keys and values of rows of qkv into the rows slots [tokens] int64 of the cache.
void cuda_float_append(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                       const at::Tensor& slots);
// Appends the new token of each row and attends. out [batch, heads.out_width()].
void cuda_float_decode(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                       const DecodeBatch& batch, at::Tensor& out);

}  // namespace preimage::nn
