// Rows of bfloat16 or float32 rounded to E4M3 with one scale a row, as nn::quantize_rows has it.
#include <cuda_fp8.h>

#include "cuda/elements.cuh"
#include "cuda/kernels.hpp"

namespace preimage::nn {
namespace {

constexpr float kLargest = 448, kSmallestScale = 1e-30f;

// Bytes: rows width (s + 1), the second reading of x comes from the cache, + 4 rows.
template <class T, int N>
__global__ void e4m3_rows_kernel(const T* x, int width, uint8_t* codes, float* scales) {
  __shared__ float scratch[32];
  x += static_cast<int64_t>(blockIdx.x) * width, codes += static_cast<int64_t>(blockIdx.x) * width;
  const int first = static_cast<int>(threadIdx.x) * N, stride = static_cast<int>(blockDim.x) * N;
  float largest = 0;
#pragma unroll 4
  for (int i = first; i < width; i += stride) {
    const auto v = load<N>(x + i);
    for (int j = 0; j < N; ++j) largest = fmaxf(largest, fabsf(wide(v.at[j])));
  }
  largest = block_reduce<Max>(largest, scratch);
  const float scale = fmaxf(__fdiv_rn(largest, kLargest), kSmallestScale);
  if (threadIdx.x == 0) scales[blockIdx.x] = scale;
#pragma unroll 4
  for (int i = first; i < width; i += stride) {
    const auto v = load<N>(x + i);
    Vec<uint8_t, N> out;
    for (int j = 0; j < N; ++j)
      out.at[j] = __nv_cvt_float_to_fp8(__fdiv_rn(wide(v.at[j]), scale), __NV_SATFINITE, __NV_E4M3);
    store(codes + i, out);
  }
}

}  // namespace

void cuda_e4m3_rows(const at::Tensor& x, at::Tensor& codes, at::Tensor& scales) {
  const int64_t rows = x.size(0), width = x.size(1);
  if (rows == 0) return;
  const c10::cuda::CUDAGuard guard(x.device());
  for_element(x, width, [&](auto element, auto n) {
    using T = typename decltype(element)::type;
    constexpr int N = decltype(n)::value;
    e4m3_rows_kernel<T, N><<<grid_of(rows), block_of(width / N, 1024), 0, stream_of(x)>>>(
        read<T, N>(x), static_cast<int>(width), static_cast<uint8_t*>(codes.data_ptr()),
        scales.data_ptr<float>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

}  // namespace preimage::nn
