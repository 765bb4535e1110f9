#include "preimage/nn/quantized.hpp"

#include <ATen/ATen.h>

#include "cuda/grouped_product.hpp"
#include "cuda/kernels.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::nn {
namespace {

using Codes = NarrowMatrix::Codes;

constexpr double kFp8Max = 448, kInt8Max = 127;
// A row of zeros gets this scale instead of zero.
constexpr double kSmallestScale = 1e-30;

// OCP Microscaling Formats (MX) 1.0, table 5: E2M1.
at::Tensor e2m1_values(at::Device device) {
  return at::tensor({0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f, -0.5f, -1.0f, -1.5f,
                     -2.0f, -3.0f, -4.0f, -6.0f},
                    at::kFloat)
      .to(device);
}

// The codes [n, ...] of some rows as numbers [n, columns], float32.
at::Tensor code_values(Codes format, const at::Tensor& codes) {
  switch (format) {
    case Codes::int8:
    case Codes::fp8:
      return codes.to(at::kFloat);
    case Codes::int4: {
      const auto shifts = at::arange(0, 32, 4, codes.options());
      const auto words = at::bitwise_right_shift(codes.unsqueeze(2), shifts);
      return at::bitwise_and(words, 0xF).flatten(1).to(at::kFloat) - 8;
    }
    case Codes::mxfp4: {
      const auto halves =
          at::stack({at::bitwise_and(codes, 0xF), at::bitwise_right_shift(codes, 4)}, 2);
      const auto values = e2m1_values(codes.device());
      return values.index_select(0, halves.flatten().to(at::kInt)).view({codes.size(0), -1});
    }
  }
  return {};
}

at::Tensor scale_values(Codes format, const at::Tensor& scales) {
  if (format != Codes::mxfp4) return scales;
  // The byte is the exponent of a float32 as it is stored; 0 stands for the one power of two that
  // float32 writes as a subnormal number.
  const auto normal = at::bitwise_left_shift(scales.to(at::kInt), 23).view(at::kFloat);
  return at::where(scales == 0, at::full({}, 0x1p-127, normal.options()), normal);
}

}  // namespace

int64_t NarrowMatrix::bytes() const {
  return static_cast<int64_t>(codes.nbytes() + scales.nbytes());
}

void require_finite(const NarrowMatrix& m, const std::string& place) {
  const auto bad_scales =
      m.format == Codes::mxfp4 ? m.scales == 255 : at::isfinite(m.scales).logical_not();
  if (const auto count = bad_scales.sum().item<int64_t>(); count > 0)
    throw base::data_error(base::str(place, ": ", count, " of its scales are NaN or Inf"));
  if (m.format != Codes::fp8) return;
  const auto magnitudes = at::bitwise_and(m.codes.view(at::kByte), 0x7F);
  if (const auto count = (magnitudes == 0x7F).sum().item<int64_t>(); count > 0)
    throw base::data_error(base::str(place, ": ", count, " of its values are NaN"));
}

at::Tensor decode_rows(const NarrowMatrix& m, int64_t begin, int64_t end, at::ScalarType dtype) {
  if constexpr (kHasCuda) {
    if (dtype == at::kBFloat16 && cuda_decodes(m)) {
      auto out = at::empty({end - begin, m.columns}, m.codes.options().dtype(dtype));
      cuda_decode_rows(m, begin, out);
      return out;
    }
  }
  const auto codes = code_values(m.format, m.codes.narrow(0, begin, end - begin));
  const int64_t first = begin / m.block_rows, last = (end - 1) / m.block_rows + 1;
  auto scales = scale_values(m.format, m.scales.narrow(0, first, last - first));
  if (m.block_rows > 1) {
    scales = scales.repeat_interleave(m.block_rows, 0)
                 .narrow(0, begin - first * m.block_rows, end - begin);
  }
  if (m.block_columns < m.columns) {
    scales = scales.repeat_interleave(m.block_columns, 1).narrow(1, 0, m.columns);
  }
  return (codes * scales).to(dtype);
}

NarrowMatrix quantize_rows(const at::Tensor& matrix, Codes format) {
  base::check(format == Codes::int8 || format == Codes::fp8, "rows are quantized to int8 or fp8");
  NarrowMatrix out;
  out.format = format;
  out.rows = matrix.size(0);
  out.columns = out.block_columns = matrix.size(1);
  if (kHasCuda && matrix.is_cuda() && format == Codes::fp8 &&
      (matrix.scalar_type() == at::kBFloat16 || matrix.scalar_type() == at::kFloat)) {
    const auto rows = matrix.detach().contiguous();
    out.codes = at::empty_like(rows, rows.options().dtype(at::kFloat8_e4m3fn));
    out.scales = at::empty({out.rows, 1}, rows.options().dtype(at::kFloat));
    cuda_e4m3_rows(rows, out.codes, out.scales);
    return out;
  }
  const auto wide = matrix.detach().to(at::kFloat);
  const double largest = format == Codes::int8 ? kInt8Max : kFp8Max;
  // A tensor, not a number: ATen on CUDA multiplies by the inverse of a number, and a scale that is
  // a bit off gives other codes than the CPU's.
  const auto top = at::full({1}, largest, wide.options());
  out.scales = (wide.abs().amax(1, true) / top).clamp_min(kSmallestScale);
  const auto scaled = (wide / out.scales).clamp(-largest, largest);
  out.codes = format == Codes::int8 ? scaled.round().to(at::kChar) : scaled.to(at::kFloat8_e4m3fn);
  return out;
}

}  // namespace preimage::nn
