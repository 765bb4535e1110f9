// Products of few rows with a wide matrix on Hopper.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace preimage::nn {

// y [rows, columns] = x [rows, depth] matrix [columns, depth]^T in bfloat16, dense and aligned to
// 16 bytes. Every element is one chain of tensor-core products of sixteen along the depth, in
// order: the bits of cuBLASLt's family 66 without split-K (measured on an H200 over four shapes of
// 1 to 64 rows). A block of threads owns `block_columns` columns.
struct FewRows {
  const void *x, *matrix;
  void* y;
  int64_t rows, columns, depth;
  int64_t y_stride;  // numbers between two rows of y
};
inline constexpr int64_t kMostFewRows = 64;
inline constexpr int kFewRowsColumns[] = {16, 32, 64};  // what block_columns may be
bool few_rows_supports(const FewRows& product);
void cuda_few_rows(const FewRows& product, int block_columns);

}  // namespace preimage::nn
