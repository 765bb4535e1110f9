#include <algorithm>

#include <ATen/ATen.h>

#include "cuda/grouped_product.hpp"

#ifdef PREIMAGE_CUDA

namespace preimage::nn {
namespace {

using Form = MatrixTable::Form;
using Codes = NarrowMatrix::Codes;

constexpr int64_t kScaledTogether = 32;  // numbers that the kernel decodes with one scale

Form form_of(Codes codes) {
  switch (codes) {
    case Codes::int8:
      return Form::int8;
    case Codes::fp8:
      return Form::fp8;
    case Codes::int4:
      return Form::int4;
    case Codes::mxfp4:
      return Form::mxfp4;
  }
  return Form::bfloat16;
}

int64_t address(const at::Tensor& x) {
  return x.defined() ? static_cast<int64_t>(reinterpret_cast<uintptr_t>(x.const_data_ptr())) : 0;
}

// Copies go by 16 bytes.
bool can_copy(const at::Tensor& x) {
  return x.is_cuda() && x.is_contiguous() && address(x) % 16 == 0;
}

bool reads(const NarrowMatrix& m) {
  const bool four_bits = m.format == Codes::int4 || m.format == Codes::mxfp4;
  const bool scales =
      m.format == Codes::mxfp4
          ? m.block_rows == 1 && m.block_columns == kScaledTogether &&
                m.scales.scalar_type() == at::kByte && can_copy(m.scales)
          : (m.block_columns % kScaledTogether == 0 || m.block_columns >= m.columns) &&
                m.scales.scalar_type() == at::kFloat && m.scales.is_contiguous();
  return can_copy(m.codes) && scales && m.rows % 8 == 0 && m.columns % (four_bits ? 32 : 16) == 0;
}

bool reads(const at::Tensor& matrix) {
  return can_copy(matrix) && matrix.scalar_type() == at::kBFloat16 && matrix.size(0) % 8 == 0 &&
         matrix.size(1) % 8 == 0;
}

bool reads(const Weight& weight) {
  const auto& bias = weight.bias();
  if (bias.defined() && (bias.scalar_type() != at::kBFloat16 || !bias.is_contiguous()))
    return false;
  if (!weight.narrow()) return reads(weight.matrix());
  return std::all_of(weight.parts().begin(), weight.parts().end(),
                     [](const auto& part) { return reads(part); });
}

bool alike(const NarrowMatrix& a, const NarrowMatrix& b) {
  return a.format == b.format && a.rows == b.rows && a.columns == b.columns &&
         a.block_rows == b.block_rows && a.block_columns == b.block_columns;
}

bool alike(const Weight& a, const Weight& b) {
  return a.narrow() == b.narrow() && a.out_features() == b.out_features() &&
         a.in_features() == b.in_features() && a.bias().defined() == b.bias().defined() &&
         (!a.narrow() ||
          std::equal(a.parts().begin(), a.parts().end(), b.parts().begin(), b.parts().end(),
                     [](const auto& x, const auto& y) { return alike(x, y); }));
}

}  // namespace

std::vector<MatrixTable> matrix_tables(const std::vector<Weight>& weights) {
  const auto& sample = weights.front();
  for (const auto& weight : weights) {
    if (!reads(weight) || !alike(weight, sample)) return {};
  }
  std::vector<MatrixTable> tables;
  const size_t parts = sample.narrow() ? sample.parts().size() : 1;
  int64_t first_column = 0;
  for (size_t part = 0; part < parts; ++part) {
    MatrixTable table;
    table.first_column = first_column;
    table.columns = sample.out_features(), table.depth = sample.in_features();
    if (sample.narrow()) {
      const auto& m = sample.parts()[part];
      table.form = form_of(m.format), table.columns = m.rows;
      table.block_rows = m.block_rows, table.block_columns = m.block_columns;
      table.scale_columns = m.scales.size(1);
    }
    const int64_t element = 2;  // bytes of a bias
    std::vector<int64_t> addresses;
    for (const auto& weight : weights) {
      const int64_t bias = address(weight.bias());
      addresses.push_back(address(weight.narrow() ? weight.parts()[part].codes : weight.matrix()));
      addresses.push_back(weight.narrow() ? address(weight.parts()[part].scales) : 0);
      addresses.push_back(bias == 0 ? 0 : bias + first_column * element);
    }
    const auto device =
        sample.narrow() ? sample.parts()[part].codes.device() : sample.matrix().device();
    table.addresses = at::tensor(addresses, at::kLong).view({-1, 3}).to(device);
    first_column += table.columns;
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace preimage::nn

#endif  // PREIMAGE_CUDA
