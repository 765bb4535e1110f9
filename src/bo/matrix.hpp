// Matrices of the kernels: zero at first, aligned, and with rows that do not all fall on the same
// lines of the cache.
#pragma once

#include <ATen/ATen.h>

#include "cpu/kernels.hpp"

namespace preimage::bo {

inline int64_t padded(int64_t size, int64_t tile) {
  return (size + tile - 1) / tile * tile;
}

class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t columns) {
    const int64_t stride = columns / 8 % 2 == 0 ? columns + 8 : columns;
    storage_ = at::zeros({rows, stride}, at::kDouble);
    block_ = {storage_.data_ptr<double>(), rows, columns, stride};
  }
  operator const Block&() const { return block_; }  // NOLINT: the kernels' view of it
  const Block& block() const { return block_; }
  double* row(int64_t i) const { return block_.data + i * block_.stride; }
  // Fills the corner of a row-major [rows, columns]; writes it out.
  void load(const double* from, int64_t rows, int64_t columns) const {
    for (int64_t i = 0; i < rows; ++i) std::copy_n(from + i * columns, columns, row(i));
  }
  void store(double* to, int64_t rows, int64_t columns) const {
    for (int64_t i = 0; i < rows; ++i) std::copy_n(row(i), columns, to + i * columns);
  }
  Block columns(int64_t count) const { return {block_.data, block_.rows, count, block_.stride}; }

 private:
  at::Tensor storage_;
  Block block_;
};

}  // namespace preimage::bo
