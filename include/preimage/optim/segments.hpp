// Inner products over segments of rows, summed in an order that depends on the segment alone.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace preimage::optim {

// Sum of a[i] * b[i] in double over eight fixed lanes: the bits depend on the values alone.
double fixed_order_dot(const float* a, const float* b, int64_t count);

// For each segment p: sum over rows [offsets[p], offsets[p + 1]) of a * b, float32 [rows, d],
// accumulated in double. Returns them on the CPU.
std::vector<double> segment_dot(const at::Tensor& a, const at::Tensor& b,
                                const std::vector<int64_t>& offsets);

}  // namespace preimage::optim
