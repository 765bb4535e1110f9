// segment_dot on CUDA: one block of threads for each segment.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace preimage::optim {

std::vector<double> cuda_segment_dot(const at::Tensor& a, const at::Tensor& b,
                                     const std::vector<int64_t>& offsets);

}  // namespace preimage::optim
