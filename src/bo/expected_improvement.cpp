#include "preimage/bo/expected_improvement.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "preimage/base/error.hpp"

namespace preimage::bo {

double normal_density(double u) {
  return std::exp(-u * u / 2) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
}

double normal_cumulative(double u) {
  return std::erfc(-u / std::numbers::sqrt2) / 2;
}

double expected_improvement_above(double best, double mean, double std) {
  base::check(std > 0, "an expected improvement has a standard deviation above zero");
  const double u = (mean - best) / std;
  // Far below, the two terms cancel to less than nothing by rounding.
  return std::max(0.0, (mean - best) * normal_cumulative(u) + std * normal_density(u));
}

double expected_improvement_below(double best, double mean, double std) {
  return expected_improvement_above(-best, -mean, std);
}

}  // namespace preimage::bo
