// Uncertainty of rates over pairs that share articles.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "preimage/base/statistics.hpp"

namespace preimage::dcm {

using base::Interval;
using base::wilson;

// A value for each pair, and the cluster (article) it belongs to.
struct Clustered {
  std::vector<double> values;
  std::vector<std::string> clusters;
};

struct BootstrapOptions {
  int64_t draws = 2000;
  double confidence = 0.95;
  uint64_t seed = 0;
};

// Percentile interval of the mean under resampling of whole clusters with replacement (pairs of one
// article are not independent). Percentiles interpolate linearly between the order statistics. NaN
// without values. Draw d, pick j depend on (seed, d, j) alone.
Interval cluster_bootstrap(const Clustered& data, const BootstrapOptions& options = {});

// Percentile of sorted values, 0 <= fraction <= 1, linear between order statistics.
double percentile(std::span<const double> sorted, double fraction);

}  // namespace preimage::dcm
