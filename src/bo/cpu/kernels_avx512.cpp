// Compiled with the flags of this instruction set (scripts/cmake/rooms.cmake).
#include <immintrin.h>

#include "cpu/kernels.hpp"

namespace preimage::bo {
namespace {

#include "cpu/simd_avx512.inc"

#include "cpu/kernels.inc"

}  // namespace

const CpuKernels avx512_kernels = {
    "avx512",   product,       lower_product, upper_product, factorise,
    covariance, cross,         weigh,         lower_times,   lower_transposed_times,
    norm,       norm_backward, adamw,         transpose};

}  // namespace preimage::bo
