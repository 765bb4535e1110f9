// The CUDA kernel of biased attention; absent from builds without CUDA.
#pragma once

#include "preimage/nn/biased_attention.hpp"

namespace preimage::nn {

#ifdef PREIMAGE_CUDA
// float32 and bfloat16, heads of 32 (MiniLM) or 64 (T5) dimensions.
bool cuda_biased_attention_supports(const Attended& x, const FullHeads& heads);
at::Tensor cuda_biased_attention(const Attended& x, const FullHeads& heads, const KeySpans& spans,
                                 const RelativeBias& bias);
#else
inline bool cuda_biased_attention_supports(const Attended&, const FullHeads&) {
  return false;
}
inline at::Tensor cuda_biased_attention(const Attended&, const FullHeads&, const KeySpans&,
                                        const RelativeBias&) {
  return {};
}
#endif

}  // namespace preimage::nn
