// Matrices that are kept in fewer bits than the model computes in, and decoded in blocks of rows
// when a product needs them.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace preimage::nn {

// value(row, column) = code(row, column) * scale(row / block_rows, column / block_columns).
struct NarrowMatrix {
  enum class Codes {
    int8,   // [rows, columns] int8
    fp8,    // [rows, columns] float8_e4m3fn
    int4,   // [rows, columns / 8] int32, lowest bits first, code + 8
    mxfp4,  // [rows, columns / 2] uint8, low half first: sign, two bits of exponent, one of
            // mantissa
  };
  Codes format = Codes::int8;
  int64_t rows = 0, columns = 0;
  at::Tensor codes;
  // Float32 [ceil(rows / block_rows), ceil(columns / block_columns)]; of mxfp4 uint8 e, meaning
  // 2^(e - 127).
  at::Tensor scales;
  int64_t block_rows = 1, block_columns = 1;
  // Of fp8 with one scale a row: the rows of x are rounded to E4M3 too, each with its own scale,
  // and the product is one of eight-bit numbers ("W8A8"). The gradient passes the rounding of x by.
  bool rounds_input = false;

  int64_t bytes() const;
};

// Throws ExitCode::bad_data, beginning with `place`, where a code or a scale is no finite number.
void require_finite(const NarrowMatrix& matrix, const std::string& place);

// Rows [begin, end) in `dtype`: the product in float32, rounded once.
at::Tensor decode_rows(const NarrowMatrix& matrix, int64_t begin, int64_t end,
                       at::ScalarType dtype);

// One scale a row: the row's largest magnitude becomes 127 (int8) or 448 (fp8); rounds to nearest,
// ties to even. matrix [rows, columns] in any floating-point type, finite.
NarrowMatrix quantize_rows(const at::Tensor& matrix, NarrowMatrix::Codes format);

}  // namespace preimage::nn
