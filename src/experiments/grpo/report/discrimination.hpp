// Whether a number tells two sets of samples apart, when samples of one step are not independent.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "preimage/base/random.hpp"
#include "preimage/base/statistics.hpp"

namespace preimage::grpo {

// Area under the ROC curve: probability that a value of `first` exceeds one of `second`, ties count
// half (Mann-Whitney). NaN where one is empty.
double area_under_roc(std::span<const double> first, std::span<const double> second);

struct SteppedValue {
  double value = 0;
  bool first = false;
  int64_t step = 0;
};

// With the percentile interval under resampling of whole steps; draws that hold one set alone are
// drawn from, but give no area. Values that are NaN are left out.
base::Interval bootstrap_auc(std::span<const SteppedValue> values, const base::RandomStream& random,
                             int64_t draws);

}  // namespace preimage::grpo
