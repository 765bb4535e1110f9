#include <algorithm>
#include <cmath>

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

namespace {

// Where each sequence begins, ends, and how many of its first tokens are left out.
struct Rows {
  std::vector<int64_t> lengths, begin, last, skipped;
  bool any_skipped = false;
};

Rows rows_of(const nn::Packing& packing, const std::vector<int64_t>& skip) {
  Rows rows;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t begin = packing.offsets[s], length = packing.offsets[s + 1] - begin;
    base::check(length > 0, "a sentence to pool has a token");
    rows.lengths.push_back(length);
    rows.begin.push_back(begin);
    rows.last.push_back(begin + length - 1);
    rows.skipped.push_back(skip.empty() ? 0 : std::min(skip[static_cast<size_t>(s)], length));
    rows.any_skipped = rows.any_skipped || rows.skipped.back() > 0;
  }
  return rows;
}

// A weight for each token: 0 for those left out, else 1, or its place from 1 on.
std::vector<float> token_weights(const Rows& rows, bool by_place) {
  std::vector<float> weights;
  for (size_t s = 0; s < rows.lengths.size(); ++s) {
    for (int64_t i = 0; i < rows.lengths[s]; ++i)
      weights.push_back(i < rows.skipped[s] ? 0 : static_cast<float>(by_place ? i + 1 : 1));
  }
  return weights;
}

// The sum of a sequence's token weights, or of their count; never 0, which would divide.
std::vector<float> weight_sums(const Rows& rows, bool by_place) {
  std::vector<float> sums;
  for (size_t s = 0; s < rows.lengths.size(); ++s) {
    const int64_t all = rows.lengths[s], out = rows.skipped[s];
    const int64_t sum = by_place ? all * (all + 1) / 2 - out * (out + 1) / 2 : all - out;
    sums.push_back(sum > 0 ? static_cast<float>(sum) : 1e-9f);
  }
  return sums;
}

}  // namespace

at::Tensor pool(const at::Tensor& hidden, const nn::Packing& packing, PoolingMode mode,
                const std::vector<int64_t>& skip) {
  const auto rows = rows_of(packing, skip);
  const auto column = [&](const std::vector<float>& values) {
    return at::tensor(values, at::kFloat).to(hidden.device()).unsqueeze(1);
  };
  if (mode == PoolingMode::first) {
    auto first = rows.begin;
    for (size_t s = 0; s < first.size(); ++s)
      if (rows.skipped[s] < rows.lengths[s]) first[s] += rows.skipped[s];
    return hidden.index_select(0, on_device(first, hidden)).to(at::kFloat);
  }
  if (mode == PoolingMode::last) {
    const auto out = hidden.index_select(0, on_device(rows.last, hidden)).to(at::kFloat);
    if (!rows.any_skipped) return out;
    std::vector<float> kept;
    for (size_t s = 0; s < rows.last.size(); ++s)
      kept.push_back(rows.skipped[s] < rows.lengths[s] ? 1 : 0);
    return out * column(kept);
  }
  auto states = hidden.to(at::kFloat);
  const auto counts = on_device(rows.lengths, hidden);
  if (mode == PoolingMode::max) {
    if (rows.any_skipped)
      states = states.masked_fill(column(token_weights(rows, false)) == 0, -INFINITY);
    return reduce(states, counts, "max");
  }
  const bool by_place = mode == PoolingMode::weighted_mean;
  if (by_place || rows.any_skipped) states = states * column(token_weights(rows, by_place));
  const auto sums = column(weight_sums(rows, by_place));
  return reduce(states, counts, "sum") / (mode == PoolingMode::mean_sqrt ? sums.sqrt() : sums);
}

}  // namespace preimage::lm
