#include "preimage/base/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "preimage/base/error.hpp"

namespace preimage::base {

Interval wilson(int64_t successes, int64_t count, double z) {
  check(successes >= 0 && successes <= count, "successes are among the trials");
  if (count == 0) return {std::numeric_limits<double>::quiet_NaN(), 0, 1};
  const auto n = static_cast<double>(count);
  const double p = static_cast<double>(successes) / n;
  const double scale = 1 + z * z / n;
  const double centre = (p + z * z / (2 * n)) / scale;
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale;
  // Exact at the ends, where rounding would leave 1e-17 or 1 - 1e-16.
  return {p, successes == 0 ? 0 : std::max(0.0, centre - half),
          successes == count ? 1 : std::min(1.0, centre + half)};
}

double mcnemar_exact(int64_t only_first, int64_t only_second) {
  check(only_first >= 0 && only_second >= 0, "counts of cases are not negative");
  const auto n = static_cast<double>(only_first + only_second);
  double p = 0;
  for (int64_t i = 0; i <= std::min(only_first, only_second); ++i) {
    const auto k = static_cast<double>(i);
    const double log_choose = std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
    p += std::exp(log_choose - n * std::log(2.0));
  }
  return std::min(1.0, 2 * p);
}

}  // namespace preimage::base
