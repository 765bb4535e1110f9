#include "preimage/base/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

double mean_of(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

// The ends of the interval that holds `confidence` of the draws; sorts them.
Interval percentile_interval(double estimate, std::vector<double> draws,
                             const BootstrapOptions& options) {
  std::sort(draws.begin(), draws.end());
  const double tail = 0.5 * (1 - options.confidence);
  if (options.ends == PercentileEnds::interpolated)
    return {estimate, percentile(draws, tail), percentile(draws, 1 - tail)};
  // 1 - 0.95 is not 0.05 in binary: a place that is whole must not be missed by its last bit.
  constexpr double rounding = 1e-9;
  const auto count = static_cast<double>(draws.size());
  const double low = std::floor(tail * count + rounding);
  const double high = std::ceil((1 - tail) * count - rounding) - 1;
  return {estimate, draws[static_cast<size_t>(low)], draws[static_cast<size_t>(high)]};
}

// The continued fraction of the incomplete beta function (DLMF 8.17.22) by Lentz's method;
// converges fast for x < (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double tiny = 1e-300;
  const auto away_from_zero = [](double value) { return std::abs(value) < tiny ? tiny : value; };
  double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1));
  double value = d;
  for (int m = 1; m < 10000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away_from_zero(1 + even * d);
    c = away_from_zero(1 + even / c);
    value *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away_from_zero(1 + odd * d);
    c = away_from_zero(1 + odd / c);
    value *= d * c;
    if (std::abs(d * c - 1) < 1e-16) break;
  }
  return value;
}

// I_x(a, b), `y` = 1 - x given apart so that neither end loses its digits.
double regularized_beta(double a, double b, double x, double y) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log(y));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, y) / b;
}

// t with P(|T| >= t) = `p`.
double t_quantile(double p, double df) {
  double low = 0, high = 1;
  while (t_two_sided(high, df) > p) high *= 2;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = 0.5 * (low + high);
    if (middle == low || middle == high) break;
    (t_two_sided(middle, df) > p ? low : high) = middle;
  }
  return high;
}

struct Moments {
  double count = 0, mean = 0, squares = 0;  // squares: sum of (x - mean)^2
};

Moments moments(std::span<const double> values) {
  Moments out{.count = static_cast<double>(values.size())};
  for (const double value : values) out.mean += value;
  out.mean /= out.count;
  for (const double value : values) out.squares += (value - out.mean) * (value - out.mean);
  return out;
}

TTest t_test(double difference, double error, double df) {
  TTest out{.difference = {difference, not_a_number, not_a_number},
            .t = not_a_number,
            .df = df,
            .p = not_a_number};
  if (!(error > 0)) return out;
  out.t = difference / error;
  out.p = t_two_sided(out.t, df);
  const double half = t_quantile(0.05, df) * error;
  out.difference = {difference, difference - half, difference + half};
  return out;
}

// The values of one stratum, and how many of them are in the first group.
struct Stratum {
  std::vector<double> values;
  size_t first = 0;
};

std::vector<Stratum> strata_of(std::span<const Labelled> values) {
  std::map<std::string, Stratum> by_name;
  for (const auto& item : values) {
    auto& stratum = by_name[item.stratum];
    stratum.values.push_back(item.value);
    stratum.first += item.first ? 1 : 0;
  }
  std::vector<Stratum> out;
  for (auto& [name, stratum] : by_name) out.push_back(std::move(stratum));
  return out;
}

// Ways to deal the labels, or `limit` + 1 where there are more.
double arrangements(const std::vector<Stratum>& strata, double limit) {
  double all = 1;
  for (const auto& stratum : strata) {
    double ways = 1;
    for (size_t i = 1; i <= stratum.first; ++i) {
      const auto left = static_cast<double>(stratum.values.size() - stratum.first + i);
      ways = std::round(ways * left / static_cast<double>(i));
    }
    all *= ways;
    if (all > limit) return limit + 1;
  }
  return all;
}

// Compares sums over the first group with the observed one: the sum of all values is fixed, so the
// difference of means grows with it.
struct Counter {
  double observed = 0, tolerance = 0;
  int64_t all = 0, less = 0, greater = 0;
  void add(double sum) {
    all += 1;
    less += sum <= observed + tolerance ? 1 : 0;
    greater += sum >= observed - tolerance ? 1 : 0;
  }
};

// Every choice of the first group, stratum by stratum.
void enumerate(const std::vector<Stratum>& strata, size_t stratum, double sum, Counter& counter) {
  if (stratum == strata.size()) return counter.add(sum);
  const auto& [values, first] = strata[stratum];
  std::vector<size_t> chosen(first);
  for (size_t i = 0; i < first; ++i) chosen[i] = i;
  for (;;) {
    double own = 0;
    for (const size_t index : chosen) own += values[index];
    enumerate(strata, stratum + 1, sum + own, counter);
    size_t at = first;
    while (at > 0 && chosen[at - 1] == values.size() - first + at - 1) --at;
    if (at == 0) return;
    ++chosen[at - 1];
    for (size_t i = at; i < first; ++i) chosen[i] = chosen[i - 1] + 1;
  }
}

void draw(std::vector<Stratum> strata, const RandomStream& random, int64_t draws,
          Counter& counter) {
  uint64_t element = 0;
  for (int64_t d = 0; d < draws; ++d) {
    double sum = 0;
    for (auto& [values, first] : strata) {
      for (size_t i = 0; i < first; ++i) {  // Fisher-Yates, as far as the first group goes
        std::swap(values[i], values[i + random.below(values.size() - i, element++)]);
        sum += values[i];
      }
    }
    counter.add(sum);
  }
}

}  // namespace

Interval wilson(int64_t successes, int64_t count, double z) {
  check(successes >= 0 && successes <= count, "successes are among the trials");
  if (count == 0) return {not_a_number, 0, 1};
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

double percentile(std::span<const double> sorted, double fraction) {
  check(!sorted.empty() && fraction >= 0 && fraction <= 1, "a percentile of something");
  const double place = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(place));
  const auto above = std::min(below + 1, sorted.size() - 1);
  const double part = place - static_cast<double>(below);
  return sorted[below] + part * (sorted[above] - sorted[below]);
}

Interval cluster_bootstrap(const Clustered& data, const RandomStream& random,
                           const BootstrapOptions& options) {
  check(data.values.size() == data.clusters.size(), "a cluster for each value");
  check(options.draws > 0, "a bootstrap draws");
  if (data.values.empty()) return {not_a_number, not_a_number, not_a_number};
  struct Cluster {
    double sum = 0;
    double count = 0;
  };
  std::map<std::string, Cluster> by_name;
  for (size_t i = 0; i < data.values.size(); ++i) {
    auto& cluster = by_name[data.clusters[i]];
    cluster.sum += data.values[i];
    cluster.count += 1;
  }
  std::vector<Cluster> clusters;
  for (const auto& [name, cluster] : by_name) clusters.push_back(cluster);
  std::vector<double> means(static_cast<size_t>(options.draws));
  for (size_t draw = 0; draw < means.size(); ++draw) {
    Cluster drawn;
    for (size_t pick = 0; pick < clusters.size(); ++pick) {
      const auto& cluster = clusters[random.below(clusters.size(), draw * clusters.size() + pick)];
      drawn.sum += cluster.sum;
      drawn.count += cluster.count;
    }
    means[draw] = drawn.sum / drawn.count;
  }
  return percentile_interval(mean_of(data.values), std::move(means), options);
}

Interval replicate_bootstrap(std::span<const std::vector<double>> values,
                             const RandomStream& random, const BootstrapOptions& options) {
  check(!values.empty() && options.draws > 0, "a bootstrap of something");
  const size_t cases = values.front().size();
  if (cases == 0) return {not_a_number, not_a_number, not_a_number};
  const auto replicates = static_cast<double>(values.size());
  double estimate = 0;
  std::vector<double> average(cases, 0.0);  // where there are too few replicates to draw from
  for (const auto& replicate : values) {
    check(replicate.size() == cases, "every replicate has the same cases");
    estimate += mean_of(replicate);
    for (size_t i = 0; i < cases; ++i) average[i] += replicate[i] / replicates;
  }
  std::vector<double> means(static_cast<size_t>(options.draws));
  for (size_t draw = 0; draw < means.size(); ++draw) {
    const uint64_t first = draw * (cases + 1);
    const auto& from = values.size() >= 3 ? values[random.below(values.size(), first)] : average;
    double sum = 0;
    for (size_t pick = 0; pick < cases; ++pick) sum += from[random.below(cases, first + 1 + pick)];
    means[draw] = sum / static_cast<double>(cases);
  }
  return percentile_interval(estimate / replicates, std::move(means), options);
}

double t_two_sided(double t, double df) {
  check(df > 0, "degrees of freedom are positive");
  if (std::isnan(t)) return not_a_number;
  if (std::isinf(t)) return 0;
  const double all = df + t * t;
  return regularized_beta(0.5 * df, 0.5, df / all, t * t / all);
}

TTest welch(std::span<const double> first, std::span<const double> second) {
  const auto a = moments(first), b = moments(second);
  if (a.count < 2 || b.count < 2) return t_test(a.mean - b.mean, not_a_number, not_a_number);
  const double va = a.squares / (a.count - 1) / a.count, vb = b.squares / (b.count - 1) / b.count;
  const double df = (va + vb) * (va + vb) / (va * va / (a.count - 1) + vb * vb / (b.count - 1));
  return t_test(a.mean - b.mean, std::sqrt(va + vb), df);
}

TTest student(std::span<const double> first, std::span<const double> second) {
  const auto a = moments(first), b = moments(second);
  if (a.count < 2 || b.count < 2) return t_test(a.mean - b.mean, not_a_number, not_a_number);
  const double df = a.count + b.count - 2;
  const double variance = (a.squares + b.squares) / df;
  return t_test(a.mean - b.mean, std::sqrt(variance * (1 / a.count + 1 / b.count)), df);
}

PermutationTest permutation_test(std::span<const Labelled> values, const RandomStream& random,
                                 const PermutationOptions& options) {
  double sums[2] = {0, 0}, counts[2] = {0, 0}, magnitude = 0;
  for (const auto& item : values) {
    sums[item.first] += item.value;
    counts[item.first] += 1;
    magnitude += std::abs(item.value);
  }
  if (counts[0] == 0 || counts[1] == 0)
    return {not_a_number, not_a_number, not_a_number, not_a_number, 0, false};
  PermutationTest out{.difference = sums[1] / counts[1] - sums[0] / counts[0]};
  // Sums of the same values in another order differ in their last bits.
  Counter counter{.observed = sums[1], .tolerance = 1e-13 * magnitude};
  const auto strata = strata_of(values);
  const auto limit = static_cast<double>(options.most_exact);
  out.exact = arrangements(strata, limit) <= limit;
  if (out.exact) {
    enumerate(strata, 0, 0, counter);
  } else {
    draw(strata, random, options.draws, counter);
    counter.add(sums[1]);
  }
  out.arrangements = counter.all;
  out.p_less = static_cast<double>(counter.less) / static_cast<double>(counter.all);
  out.p_greater = static_cast<double>(counter.greater) / static_cast<double>(counter.all);
  out.p = std::min(1.0, 2 * std::min(out.p_less, out.p_greater));
  return out;
}

}  // namespace preimage::base
