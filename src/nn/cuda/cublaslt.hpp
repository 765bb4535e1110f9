// bfloat16 products on CUDA through cuBLASLt with float32 accumulation, restricted to algorithms
// whose bits do not depend on the number of rows.
//
// On compute capability 9.0 every algorithm of family 66 without split-K sums along K in the same
// order (measured on an H200 over 12 layer shapes and 37 numbers of rows), so the fastest of them
// may be chosen anew for each number of rows, and our own kernel for few rows, which has the same
// bits. Elsewhere, and for the odd widths that the family
// cannot read, that is not known: one algorithm, the heuristics' first for kReferenceRows rows,
// serves all numbers of rows. Under nn::FreeOrder any algorithm goes, the fastest of those that the
// heuristics name.
#pragma once

#include <ATen/core/Tensor.h>

#include "cuda/kernels.hpp"

namespace preimage::nn {

// x [rows, in] matrix [out, in]^T (+ bias [out]) -> [rows, out].
at::Tensor cublaslt_linear(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias);
// The same into y [rows, out], which may be some columns of wider rows.
void cublaslt_linear_into(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias,
                          at::Tensor& y);
// Whether products are chains along the depth on this GPU (family 66).
bool cublaslt_chains();
// dy [rows, out] matrix [out, in] -> [rows, in].
at::Tensor cublaslt_input_gradient(const at::Tensor& dy, const at::Tensor& matrix);

}  // namespace preimage::nn
