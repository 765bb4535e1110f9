// Attention in which every token of a sequence sees the whole sequence, trained: with a gradient
// and with dropout of the weights. Frozen encoders use nn/biased_attention.hpp.
#pragma once

#include <ATen/core/Tensor.h>

#include "preimage/nn/attention.hpp"
#include "preimage/nn/dropout.hpp"

namespace preimage::nn {

// qkv [tokens, heads.width()]: queries, keys, values of each token, already rotated; as many kv
// heads as query heads -> [tokens, heads * head_dim]. Sequences lie end to end without padding, so
// there is nothing to mask and no company to depend on. `dropout` acts on the weights after the
// softmax. Differentiable.
at::Tensor bidirectional_attention(const at::Tensor& qkv, const HeadLayout& heads,
                                   const Packing& packing, const Dropout& dropout = {});
// The same in plain ATen, without dropout: the oracle of the tests.
at::Tensor plain_bidirectional_attention(const at::Tensor& qkv, const HeadLayout& heads,
                                         const Packing& packing);

}  // namespace preimage::nn
