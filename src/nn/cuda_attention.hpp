// FlashAttention-2 of ATen over packed sequences, for bfloat16 and float16 on CUDA.
#pragma once

#include "preimage/nn/attention.hpp"

namespace preimage::nn {

bool cuda_attention_supports(const at::Tensor& qkv, const HeadLayout& heads);
at::Tensor cuda_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing);

}  // namespace preimage::nn
