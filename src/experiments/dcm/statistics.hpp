// Uncertainty of rates.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace preimage::dcm {

struct Interval {
  double estimate = 0;
  double low = 0;
  double high = 0;
};

inline constexpr double z_95 = 1.959963984540054;  // two-sided 95 % of the normal distribution

// Wilson's score interval of `successes` out of `count` (Wilson 1927). With count 0 the estimate is
// NaN and the interval 0 to 1.
Interval wilson(int64_t successes, int64_t count, double z = z_95);

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
