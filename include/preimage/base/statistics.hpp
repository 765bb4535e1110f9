// Uncertainty of what was measured: intervals of proportions and means, and tests of two samples.
// Random draws come from the caller's stream and depend on their number alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "preimage/base/random.hpp"

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

// Percentile of sorted values, 0 <= fraction <= 1, linear between order statistics.
double percentile(std::span<const double> sorted, double fraction);

enum class PercentileEnds {
  interpolated,      // percentile()
  order_statistics,  // elements floor(tail B) and ceil((1 - tail) B) - 1 of B sorted draws
};

struct BootstrapOptions {
  int64_t draws = 2000;
  double confidence = 0.95;
  PercentileEnds ends = PercentileEnds::interpolated;
};

// A value for each case, and the cluster that it belongs to.
struct Clustered {
  std::vector<double> values;
  std::vector<std::string> clusters;
};

// The mean over cases, with the percentile interval of the mean under resampling of whole clusters
// with replacement: cases of one cluster are not independent. Clusters count in the order of their
// names, so that the order of the cases does not matter; pick j of draw d is element
// d * clusters + j of `random`. NaN without cases.
Interval cluster_bootstrap(const Clustered& data, const RandomStream& random,
                           const BootstrapOptions& options = {});

// The mean over cases and replicates (training seeds): values[r][i] belongs to replicate r and case
// i. Each draw resamples cases; with three replicates and more it picks one of them first, so that
// the interval holds their spread too, with fewer it draws from their mean. The replicate of draw d
// is element d * (cases + 1), its pick j the (j + 1)-th after that. NaN without cases.
Interval replicate_bootstrap(std::span<const std::vector<double>> values,
                             const RandomStream& random, const BootstrapOptions& options = {});

// Two-sided p of Student's t with `df` degrees of freedom: P(|T| >= |t|).
double t_two_sided(double t, double df);

struct TTest {
  Interval difference;  // mean of the first less mean of the second; 95 %
  double t = 0;
  double df = 0;
  double p = 1;  // two-sided
};

// Welch's test of two means whose variances may differ, degrees of freedom by Satterthwaite (Welch
// 1947); Student's test with one pooled variance. NaN where a sample has fewer than two values or
// neither varies.
TTest welch(std::span<const double> first, std::span<const double> second);
TTest student(std::span<const double> first, std::span<const double> second);

// One value of a permutation test: which of two groups it is in, and the stratum within which
// labels may change places (a batch; a pair of a paired test; one and the same for all).
struct Labelled {
  double value = 0;
  bool first = false;
  std::string stratum;
};

struct PermutationOptions {
  int64_t draws = 10000;         // where there are more arrangements than `most_exact`
  int64_t most_exact = 100'000;  // arrangements that are gone through one by one
};

struct PermutationTest {
  double difference = 0;  // mean of the first group less mean of the second
  double p = 1;           // two-sided: twice the smaller one-sided p, at most 1
  double p_less = 1, p_greater = 1;
  int64_t arrangements = 0;  // that the observed one was compared with
  bool exact = false;
};

// Whether the difference of means of two groups could come from labels that are exchangeable within
// each stratum. Drawn arrangements count the observed one among them: p = (hits + 1) / (draws + 1)
// (Phipson and Smyth 2010). NaN where a group is empty.
PermutationTest permutation_test(std::span<const Labelled> values, const RandomStream& random,
                                 const PermutationOptions& options = {});

}  // namespace preimage::base
