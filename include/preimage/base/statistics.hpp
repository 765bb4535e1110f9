// Uncertainty of proportions.
#pragma once

#include <cstdint>

namespace preimage::base {

struct Interval {
  double estimate = 0;
  double low = 0;
  double high = 0;
};

inline constexpr double z_95 = 1.959963984540054;  // two-sided 95 % of the normal distribution

// Wilson's score interval of `successes` out of `count` (Wilson 1927). With count 0 the estimate is
// NaN and the interval 0 to 1.
Interval wilson(int64_t successes, int64_t count, double z = z_95);

// Exact two-sided McNemar test of paired 0/1 outcomes: `only_first` cases that only the first got
// right, `only_second` likewise. p = min(1, 2 sum_{i <= min} C(n, i) / 2^n), n the discordant
// cases; 1 without any.
double mcnemar_exact(int64_t only_first, int64_t only_second);

}  // namespace preimage::base
