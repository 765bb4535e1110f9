// Compiled with the flags of this instruction set (scripts/cmake/rooms.cmake).
#include <cstdint>

#include "cpu/kernels.hpp"

namespace preimage::lipo {
namespace {

#include "../../../nn/cpu/simd_scalar.inc"

#include "cpu/kernels.inc"

}  // namespace

const CpuKernels scalar_kernels = {"scalar", product,         norm,  norm_backward, cosine,
                                   latent,   latent_backward, adamw, row_sums,      square_sum};

}  // namespace preimage::lipo
