// FlashAttention-2 of ATen over packed sequences, for bfloat16 and float16 on CUDA.
#pragma once

#include "preimage/nn/attention.hpp"

namespace preimage::nn {

bool cuda_attention_supports(const at::Tensor& qkv, const HeadLayout& heads);
at::Tensor cuda_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing);

// The last tokens of longer sequences: q [tokens, query_heads, head_dim] packed by `queries`, k and
// v [keys, kv_heads, size] by `keys`; each query sees the keys up to its own, which is the last for
// the last query. -> [tokens, out_width]. No gradient.
struct PrefixQuery {
  const at::Tensor &q, &k, &v;
  const Packing &queries, &keys;
};
at::Tensor cuda_prefix_attention(const PrefixQuery& call, const HeadLayout& heads);

}  // namespace preimage::nn
