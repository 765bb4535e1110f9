// Compiled with the flags of this instruction set (scripts/cmake/rooms.cmake).
#include <immintrin.h>

#include <cstdint>

#include "cpu/kernels.hpp"

namespace preimage::lipo {
namespace {

#include "../../../nn/cpu/simd_avx512.inc"

#include "cpu/kernels.inc"

}  // namespace

const CpuKernels avx512_kernels = {"avx512", product,         norm,  norm_backward, cosine,
                                   latent,   latent_backward, adamw, row_sums,      square_sum};

}  // namespace preimage::lipo
