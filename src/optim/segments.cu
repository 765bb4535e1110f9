#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <ATen/ATen.h>

#include "cuda_segments.hpp"

namespace preimage::optim {
namespace {

constexpr int kThreads = 256;

// Thread t sums the elements t, t + 256, ... of its segment in double; then a fixed tree over the
// threads.
__global__ void segment_dot_kernel(const float* a, const float* b, const int64_t* offsets,
                                   int64_t d, double* out) {
  const int64_t begin = offsets[blockIdx.x] * d, end = offsets[blockIdx.x + 1] * d;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads)
    sum += static_cast<double>(a[i]) * b[i];
  __shared__ double sums[kThreads];
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int width = kThreads / 2; width > 0; width /= 2) {
    if (threadIdx.x < width) sums[threadIdx.x] += sums[threadIdx.x + width];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = sums[0];
}

}  // namespace

std::vector<double> cuda_segment_dot(const at::Tensor& a, const at::Tensor& b,
                                     const std::vector<int64_t>& offsets) {
  const auto segments = static_cast<int64_t>(offsets.size()) - 1;
  const auto device_offsets = at::tensor(offsets, at::kLong).to(a.device());
  auto out = at::empty({segments}, a.options().dtype(at::kDouble));
  segment_dot_kernel<<<static_cast<unsigned>(segments), kThreads, 0,
                       c10::cuda::getCurrentCUDAStream()>>>(
      a.const_data_ptr<float>(), b.const_data_ptr<float>(),
      device_offsets.const_data_ptr<int64_t>(), a.size(1), out.data_ptr<double>());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  const auto host = out.to(at::kCPU);
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + segments};
}

}  // namespace preimage::optim
