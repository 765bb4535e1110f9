#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/lm/encoder/sentence_pipeline.hpp"

namespace preimage::lm {
namespace {

// [sequences, d]: rows of each sequence reduced one after the other.
at::Tensor reduce(const at::Tensor& rows, const at::Tensor& lengths, const char* how) {
  return at::segment_reduce(rows, how, lengths, /*indices=*/std::nullopt,
                            /*offsets=*/std::nullopt, /*axis=*/0, /*unsafe=*/true);
}

at::Tensor on_device(const std::vector<int64_t>& values, const at::Tensor& like) {
  return at::tensor(values, at::kLong).to(like.device());
}

}  // namespace

at::Tensor pool(const at::Tensor& hidden, const nn::Packing& packing, PoolingMode mode) {
  std::vector<int64_t> lengths, first, last, place, weight_sums;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t begin = packing.offsets[s], length = packing.offsets[s + 1] - begin;
    base::check(length > 0, "a sentence to pool has a token");
    lengths.push_back(length);
    first.push_back(begin);
    last.push_back(begin + length - 1);
    weight_sums.push_back(length * (length + 1) / 2);
    for (int64_t i = 1; i <= length; ++i) place.push_back(i);
  }
  const auto column = [&](const std::vector<int64_t>& values) {
    return on_device(values, hidden).to(at::kFloat).unsqueeze(1);
  };
  if (mode == PoolingMode::first)
    return hidden.index_select(0, on_device(first, hidden)).to(at::kFloat);
  if (mode == PoolingMode::last)
    return hidden.index_select(0, on_device(last, hidden)).to(at::kFloat);
  const auto rows = hidden.to(at::kFloat);
  const auto counts = on_device(lengths, hidden);
  switch (mode) {
    case PoolingMode::max:
      return reduce(rows, counts, "max");
    case PoolingMode::mean:
      return reduce(rows, counts, "sum") / column(lengths);
    case PoolingMode::mean_sqrt:
      return reduce(rows, counts, "sum") / column(lengths).sqrt();
    default:
      return reduce(rows * column(place), counts, "sum") / column(weight_sums);
  }
}

}  // namespace preimage::lm
