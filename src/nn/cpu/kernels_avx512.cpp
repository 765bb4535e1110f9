// Compiled with the flags of this instruction set (scripts/cmake/rooms.cmake).
#include <immintrin.h>

#include "cpu/kernels.hpp"

namespace preimage::nn {
namespace {

#include "cpu/simd_avx512.inc"

#include "cpu/kernels.inc"

#include "cpu/biased_attention.inc"

}  // namespace

extern const CpuKernels avx512_kernels;
const CpuKernels avx512_kernels = {
    "avx512",    gemm,      rms_norm,           rms_norm_backward, swiglu, swiglu_backward,
    softmax_nll, attention, attention_backward, biased_attention,  gelu,   gated_gelu};

}  // namespace preimage::nn
