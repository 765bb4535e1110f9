// Numbers of eight and four bits as operands of the bfloat16 tensor cores, rounded as decode_rows()
// rounds them. Rows of the other operand lie in eights (cuda_in_eights).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <cstdint>

#include "cuda/grouped_product.hpp"
#include "cuda/tensor_cores.cuh"

namespace preimage::nn {

using Form = MatrixTable::Form;

__device__ inline uint32_t times(uint32_t a, uint32_t b) {
  const auto product = __hmul2(reinterpret_cast<const __nv_bfloat162&>(a),
                               reinterpret_cast<const __nv_bfloat162&>(b));
  return reinterpret_cast<const uint32_t&>(product);
}

// Numbers c and c + 4 of eight, whose bits stand highest in each half of q. Bits of a bfloat16 of
// the same sign, exponent and mantissa, which is 2^126 times too small (subnormal numbers
// included), then the scale.
__device__ inline uint32_t decode_mxfp4(uint32_t q, uint32_t scale) {
  const uint32_t bits = (q & 0x80008000u) | (q >> 6 & 0x01C001C0u);
  return times(times(bits, 0x7E807E80u), scale);
}
__device__ inline float biased(uint32_t small, float offset) {
  return __uint_as_float(0x4B000000u | small) - offset;  // 2^23 + small - offset, exact
}
__device__ inline uint32_t decode_int4(uint32_t q, float scale) {
  return pack(biased(q >> 12 & 0xF, 8388616.0f) * scale, biased(q >> 28, 8388616.0f) * scale);
}
// Bytes c of both words, `select` = c | (c + 4) << 4.
__device__ inline uint32_t decode_int8(uint32_t low, uint32_t high, uint32_t select, float scale) {
  const uint32_t q = __byte_perm(low, high, select) ^ 0x8080u;
  return pack(biased(q & 0xFF, 8388736.0f) * scale, biased(q >> 8 & 0xFF, 8388736.0f) * scale);
}
__device__ inline uint32_t decode_fp8(uint32_t low, uint32_t high, uint32_t select, float scale) {
  const auto both = static_cast<__nv_fp8x2_storage_t>(__byte_perm(low, high, select) & 0xFFFF);
  const __half2_raw halves = __nv_cvt_fp8x2_to_halfraw2(both, __NV_E4M3);
  const float2 values = __half22float2(halves);
  return pack(values.x * scale, values.y * scale);
}

// The operand of sixteen columns for one step. `odd`: the second step of a chunk of four bits.
template <Form FORM, class Scale>
__device__ void decode(const uint4 (&raw)[2], bool odd, const Scale (&scale)[2],
                       uint32_t (&out)[4]) {
  const int c = threadIdx.x % 4;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    if constexpr (FORM == Form::mxfp4 || FORM == Form::int4) {
      const uint32_t low = odd ? raw[h].z : raw[h].x, high = odd ? raw[h].w : raw[h].y;
      const uint32_t shift = 0x1000u >> 4 * c;  // as a factor: 12 - 4 c places to the left
      if constexpr (FORM == Form::mxfp4) {
        out[h] = decode_mxfp4(low * shift, scale[h]);
        out[2 + h] = decode_mxfp4(high * shift, scale[h]);
      } else {
        out[h] = decode_int4(low * shift, scale[h]);
        out[2 + h] = decode_int4(high * shift, scale[h]);
      }
    } else {
      const uint32_t select = static_cast<uint32_t>(c | (c + 4) << 4);
      if constexpr (FORM == Form::int8) {
        out[h] = decode_int8(raw[h].x, raw[h].y, select, scale[h]);
        out[2 + h] = decode_int8(raw[h].z, raw[h].w, select, scale[h]);
      } else {
        out[h] = decode_fp8(raw[h].x, raw[h].y, select, scale[h]);
        out[2 + h] = decode_fp8(raw[h].z, raw[h].w, select, scale[h]);
      }
    }
  }
}

}  // namespace preimage::nn
