// Products of rows that have matrices of their own, and products with matrices in few bits.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/linear.hpp"

namespace preimage::nn {

// Where matrices [columns, depth] of one shape and one form lie, each with its bias. Owns no
// matrix.
struct MatrixTable {
  enum class Form { bfloat16, int8, fp8, int4, mxfp4 };
  at::Tensor addresses;  // [matrices, 3] int64 on the device: numbers, scales, bias; 0: none
  Form form = Form::bfloat16;
  int64_t columns = 0, depth = 0;
  int64_t block_rows = 1, block_columns = 1, scale_columns = 1;  // of the scales
  int64_t first_column = 0;  // of the result: a stacked weight has one table for each part
};
// One table for each part of the weights, which are of one shape and kind; empty where the kernel
// does not read such matrices (bfloat16 or few bits on CUDA, of a depth and width it can copy).
std::vector<MatrixTable> matrix_tables(const std::vector<Weight>& weights);

// Pairs (row, choice) by the group that each belongs to.
struct RowGroups {
  at::Tensor order;  // [pairs] int32: which pair stands at each place; groups lie one after another
  at::Tensor tiles;  // [most, 3] int32: group, first place, places of a tile; 0 places: none
};
inline constexpr int64_t kTileRows = 64;
// groups [pairs] int64 below `count`. In a group pairs keep their order.
RowGroups cuda_group_rows(const at::Tensor& groups, int64_t count);

// y = x M^T + bias, rounded once from float32; every element is one chain of tensor-core products
// of sixteen along the depth, in order, whatever rows stand beside it.
struct GroupedProduct {
  const at::Tensor& x;  // [rows, depth] bfloat16; for matrices in few bits from in_eights()
  const MatrixTable& table;
  const RowGroups* groups;  // null: every row, the first matrix
  int64_t choices;          // pair p takes row p / choices of x; 0: x lies in the order of places
  bool to_pairs;            // y in the order of pairs, not of places
};
void cuda_grouped_product(const GroupedProduct& product, at::Tensor& y);

// Numbers 0 .. 7 of every eight in the order 0 4 1 5 2 6 3 7, in which two numbers of four bits are
// cut out of a word at one time.
at::Tensor cuda_in_eights(const at::Tensor& x);

// Rows [begin, end) of a matrix as decode_rows() gives them in bfloat16. Null on a form or a shape
// that it does not read.
bool cuda_decodes(const NarrowMatrix& matrix);
void cuda_decode_rows(const NarrowMatrix& matrix, int64_t begin, at::Tensor& out);

// The k largest of scores [rows, groups], of a tie the first, by rising number: [rows, k] int64.
inline constexpr int64_t kMostGroups = 512;
at::Tensor cuda_top_groups(const at::Tensor& scores, int64_t k);

// out[t] = sum over j of terms[t * k + j] weights[t, j], j rising; each product and sum rounded to
// bfloat16. weights [tokens, k] bfloat16 or float32.
void cuda_weighted_sum(const at::Tensor& terms, const at::Tensor& weights, at::Tensor& out);

}  // namespace preimage::nn
