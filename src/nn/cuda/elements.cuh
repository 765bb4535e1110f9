// What the kernels over rows share: elements of float32 and bfloat16, sums over a block, launching.
#pragma once

#include <cuda_bf16.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "preimage/base/error.hpp"

namespace preimage::nn {

using bf16 = __nv_bfloat16;

__device__ inline float wide(float x) {
  return x;
}
__device__ inline float wide(bf16 x) {
  return __bfloat162float(x);
}
template <class T>
__device__ inline T narrow(float x) {
  if constexpr (sizeof(T) == 2)
    return __float2bfloat16_rn(x);
  else
    return x;
}
template <class T>
__device__ inline float rounded(float x) {
  return wide(narrow<T>(x));
}

// N neighbouring elements, moved in one access.
template <class T, int N>
struct alignas(sizeof(T) * N) Vec {
  T at[N];
};
template <int N, class T>
__device__ inline Vec<T, N> load(const T* p) {
  return *reinterpret_cast<const Vec<T, N>*>(p);
}
template <int N, class T>
__device__ inline void store(T* p, const Vec<T, N>& v) {
  *reinterpret_cast<Vec<T, N>*>(p) = v;
}

// The fast forms err by a few 1e-7 relative to the value, far below a bfloat16; float32 gets the
// exact ones.
template <class T>
__device__ inline float exponential(float x) {
  return sizeof(T) == 2 ? __expf(x) : expf(x);
}
template <class T>
__device__ inline float sigmoid(float x) {
  const float denominator = 1.0f + exponential<T>(-x);
  return sizeof(T) == 2 ? __fdividef(1.0f, denominator) : 1.0f / denominator;
}

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Max {
  __device__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

// The same value in every thread: a butterfly in each warp, then the warps in order. Both
// operations commute, so all threads get the same bits. `scratch` holds one float for each warp.
template <class Op>
__device__ float block_reduce(float x, float* scratch) {
  const Op op;
  for (int lane = 16; lane > 0; lane /= 2) x = op(x, __shfl_xor_sync(0xffffffffu, x, lane));
  const int warps = static_cast<int>(blockDim.x) / 32;
  __syncthreads();  // the scratch of an earlier call has been read
  if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = x;
  __syncthreads();
  x = scratch[0];
  for (int warp = 1; warp < warps; ++warp) x = op(x, scratch[warp]);
  return x;
}

template <class T>
struct Element {
  using type = T;
};

// Calls body(Element<T>(), N) with N elements to an access of 16 bytes, or 1 where the width is no
// multiple of that: by the width alone, so that a row is summed alike in every tensor.
template <class Body>
void for_element(const at::Tensor& x, int64_t width, const Body& body) {
  const auto one = std::integral_constant<int, 1>();
  if (x.scalar_type() == at::kBFloat16) {
    width % 8 == 0 ? body(Element<bf16>(), std::integral_constant<int, 8>())
                   : body(Element<bf16>(), one);
  } else {
    width % 4 == 0 ? body(Element<float>(), std::integral_constant<int, 4>())
                   : body(Element<float>(), one);
  }
}

// The data of a contiguous tensor whose accesses of N elements are aligned.
template <class T, int N = 1>
const T* read(const at::Tensor& x) {
  base::check(
      x.is_contiguous() && reinterpret_cast<uintptr_t>(x.const_data_ptr()) % (N * sizeof(T)) == 0,
      "a CUDA kernel is given contiguous tensors that begin at a multiple of 16 bytes");
  return static_cast<const T*>(x.const_data_ptr());
}
template <class T, int N = 1>
T* written(at::Tensor& x) {
  read<T, N>(x);
  return static_cast<T*>(x.data_ptr());
}

// Threads of a block that handles `units` accesses: whole warps, at most `most`.
inline unsigned block_of(int64_t units, int64_t most) {
  return static_cast<unsigned>(std::clamp<int64_t>((units + 31) / 32 * 32, 32, most));
}

inline unsigned grid_of(int64_t rows) {
  base::check(rows <= INT32_MAX, "a CUDA kernel is given at most 2^31 - 1 rows");
  return static_cast<unsigned>(rows);
}

inline cudaStream_t stream_of(const at::Tensor& x) {
  return c10::cuda::getCurrentCUDAStream(x.get_device()).stream();
}

}  // namespace preimage::nn
