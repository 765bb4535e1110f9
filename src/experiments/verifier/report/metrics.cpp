#include "report/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "preimage/base/error.hpp"

namespace preimage::verifier {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class Values, class Function>
double mean_of(const Values& values, const Function& function) {
  if (values.empty()) return not_a_number;
  double sum = 0;
  for (const auto& value : values) sum += function(value);
  return sum / static_cast<double>(values.size());
}

// Mann-Whitney: the share of (pass, fail) pairs in the right order, from the ranks of one sort.
double area_under_curve(const Ranked& ranked) {
  const size_t count = ranked.energies.size();
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return ranked.energies[a] < ranked.energies[b]; });
  double right = 0, passing_below = 0;
  for (size_t begin = 0; begin < count;) {
    size_t end = begin;
    double tied_passing = 0;
    for (; end < count && ranked.energies[order[end]] == ranked.energies[order[begin]]; ++end)
      tied_passing += ranked.passes[order[end]] ? 1 : 0;
    const double tied_failing = static_cast<double>(end - begin) - tied_passing;
    right += tied_failing * (passing_below + 0.5 * tied_passing);
    passing_below += tied_passing;
    begin = end;
  }
  const double passing = passing_below;
  const double pairs = passing * (static_cast<double>(count) - passing);
  return pairs > 0 ? right / pairs : not_a_number;
}

}  // namespace

double pairwise_accuracy(const Ranked& ranked) {
  base::check(ranked.energies.size() == ranked.passes.size(), "one energy for each candidate");
  return area_under_curve(ranked);
}

double mean_pairwise_accuracy(std::span<const Ranked> problems) {
  double sum = 0, count = 0;
  for (const auto& problem : problems) {
    const double accuracy = pairwise_accuracy(problem);
    if (std::isnan(accuracy)) continue;
    sum += accuracy;
    count += 1;
  }
  return count > 0 ? sum / count : not_a_number;
}

double global_auroc(std::span<const Ranked> problems) {
  Ranked all;
  for (const auto& problem : problems) {
    all.energies.insert(all.energies.end(), problem.energies.begin(), problem.energies.end());
    all.passes.insert(all.passes.end(), problem.passes.begin(), problem.passes.end());
  }
  return area_under_curve(all);
}

std::vector<ReliabilityBin> reliability(std::span<const Ranked> problems, int64_t bins) {
  std::vector<ReliabilityBin> out(static_cast<size_t>(bins));
  const auto width = static_cast<double>(bins);
  for (int64_t b = 0; b < bins; ++b) {
    out[static_cast<size_t>(b)].low = static_cast<double>(b) / width;
    out[static_cast<size_t>(b)].high = static_cast<double>(b + 1) / width;
  }
  for (const auto& problem : problems) {
    for (size_t i = 0; i < problem.energies.size(); ++i) {
      const double confidence = 1 - problem.energies[i];
      base::check(confidence >= 0 && confidence <= 1, "calibration is asked of energies in [0, 1]");
      auto& bin =
          out[static_cast<size_t>(std::min(bins - 1, static_cast<int64_t>(confidence * width)))];
      ++bin.count;
      bin.confidence += confidence;
      bin.passing += problem.passes[i] ? 1 : 0;
    }
  }
  for (auto& bin : out) {
    if (bin.count == 0) continue;
    bin.confidence /= static_cast<double>(bin.count);
    bin.passing /= static_cast<double>(bin.count);
  }
  return out;
}

double expected_calibration_error(std::span<const ReliabilityBin> bins) {
  double sum = 0, count = 0;
  for (const auto& bin : bins) {
    sum += static_cast<double>(bin.count) * std::abs(bin.passing - bin.confidence);
    count += static_cast<double>(bin.count);
  }
  return count > 0 ? sum / count : not_a_number;
}

double centred_correlation(std::span<const Ranked> problems,
                           std::span<const std::vector<double>> lengths) {
  double xx = 0, yy = 0, xy = 0;
  for (size_t p = 0; p < problems.size(); ++p) {
    const auto& energies = problems[p].energies;
    const auto& length = lengths[p];
    base::check(energies.size() == length.size(), "one length for each candidate");
    const auto same = [](double value) { return value; };
    const double mean_energy = mean_of(energies, same), mean_length = mean_of(length, same);
    for (size_t i = 0; i < energies.size(); ++i) {
      const double x = energies[i] - mean_energy, y = length[i] - mean_length;
      xx += x * x, yy += y * y, xy += x * y;
    }
  }
  return xx > 0 && yy > 0 ? xy / std::sqrt(xx * yy) : not_a_number;
}

}  // namespace preimage::verifier
