// Attention in plain ATen, one sequence at a time: the oracle of the kernels.
#pragma once

#include "preimage/nn/attention.hpp"

namespace preimage::nn {

struct Heads {
  at::Tensor q, k, v;  // [tokens, heads, size]
};
Heads split_heads(const at::Tensor& qkv, const HeadLayout& heads);

// q [t, query_heads, head_dim] of the last t of n tokens; k and v [n, kv_heads, size] ->
// [t, out_width]. The softmax is in float32, its result in the dtype of q.
at::Tensor plain_sequence(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const HeadLayout& heads);

}  // namespace preimage::nn
