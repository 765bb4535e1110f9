// bfloat16 and E4M3 products on CUDA through cuBLASLt with float32 accumulation, restricted to
// algorithms whose bits do not depend on the number of rows.
//
// On compute capability 9.0 every algorithm of family 66 without split-K sums along K in the same
// order (measured on an H200 over 12 layer shapes and 37 numbers of rows), so the fastest of them
// may be chosen anew for each number of rows, and our own kernel for few rows, which has the same
// bits. Elsewhere, and for the odd widths that the family
// cannot read, that is not known: one algorithm, the heuristics' first for kReferenceRows rows,
// serves all numbers of rows. Under nn::FreeOrder any algorithm goes, the fastest of those that the
// heuristics name.
//
// Of E4M3 no family is known to have one order: a candidate is taken only where it has the bits of
// the reference algorithm on random numbers with the matrix at hand.
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
// Whether this GPU multiplies E4M3 (compute capability 8.9 and later).
bool cublaslt_multiplies_e4m3();
// Rows of E4M3 numbers, each row with a float32 scale.
struct ScaledRows {
  at::Tensor codes;   // [rows, width] float8_e4m3fn, contiguous; width a multiple of 16
  at::Tensor scales;  // [rows, 1] float32
};
// (x matrix^T) scaled by row and column, plus bias [out] bfloat16, into y [rows, out] bfloat16,
// which may be some columns of wider rows.
void cublaslt_e4m3_into(const ScaledRows& x, const ScaledRows& matrix, const at::Tensor& bias,
                        at::Tensor& y);
// dy [rows, out] matrix [out, in] -> [rows, in].
at::Tensor cublaslt_input_gradient(const at::Tensor& dy, const at::Tensor& matrix);

}  // namespace preimage::nn
