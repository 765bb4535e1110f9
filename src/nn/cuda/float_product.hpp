// float32 products on CUDA, in full float32: every element is one chain of fused multiply-adds
// along the depth, as on the CPU, so a row's bits depend on no other row.
#pragma once

#include <ATen/core/Tensor.h>

namespace preimage::nn {

// x [rows, in] matrix [out, in]^T (+ bias [out]) -> [rows, out].
at::Tensor cuda_float_linear(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias);
// dy [rows, out] matrix [out, in] -> [rows, in].
at::Tensor cuda_float_input_gradient(const at::Tensor& dy, const at::Tensor& matrix);

}  // namespace preimage::nn
