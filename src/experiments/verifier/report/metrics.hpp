// How good a selection among a problem's candidates is (Chen et al. 2021 for pass@k; the plan's
// baselines), and how well energies separate passing candidates from failing ones. Energy is low
// for candidates that should pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "preimage/base/statistics.hpp"

namespace preimage::verifier {

// A problem's candidates: how many, and how many of them pass.
struct PassCount {
  int64_t candidates = 0;
  int64_t passing = 0;
};

// Probability that at least one of k candidates drawn without replacement passes: 1 - C(n-c, k) /
// C(n, k), as the product 1 - prod_{j = n-c+1}^{n} (1 - k / j). Needs 1 <= k <= n.
double pass_at_k(const PassCount& count, int64_t k);
// Means over problems; NaN without any.
double mean_pass_at_k(std::span<const PassCount> counts, int64_t k);
double random_pass_at_1(std::span<const PassCount> counts);  // the expectation, not a draw
double oracle_pass_at_1(std::span<const PassCount> counts);  // any candidate passes
// (selected - random) / (oracle - random); NaN where no selection could gain anything.
double gap_recovered(double selected, double random, double oracle);

// The energies of one problem's candidates, and which of them pass.
struct Ranked {
  std::vector<double> energies;
  std::vector<bool> passes;
};

// Fraction of (pass, fail) pairs whose passing side has the lower energy, ties counted half: the
// area under the ROC curve within the problem. NaN without a pair.
double pairwise_accuracy(const Ranked& ranked);
// Mean over the problems that have a pair; NaN when none has.
double mean_pairwise_accuracy(std::span<const Ranked> problems);
// The same over all candidates together: inflated by differences between problems.
double global_auroc(std::span<const Ranked> problems);

// One bin of a reliability diagram: candidates whose 1 - E lies in [low, high).
struct ReliabilityBin {
  double low = 0, high = 0;
  int64_t count = 0;
  double confidence = 0;  // mean of 1 - E
  double passing = 0;     // share that passes
};
// `bins` of equal width over [0, 1]; the last one holds 1 too. Energies must lie in [0, 1].
std::vector<ReliabilityBin> reliability(std::span<const Ranked> problems, int64_t bins);
// Expected calibration error (Guo et al. 2017): mean over candidates of |passing - confidence| of
// their bin.
double expected_calibration_error(std::span<const ReliabilityBin> bins);

// Pearson's correlation of energy and length after both are centred within their problem.
double centred_correlation(std::span<const Ranked> problems,
                           std::span<const std::vector<double>> lengths);

struct BootstrapOptions {
  int64_t draws = 10000;
  uint64_t seed = 0;
};

// Mean over problems of a statistic, with the 95 % percentile interval of resampled problems:
// elements floor(0.025 B) and ceil(0.975 B) - 1 of the sorted means. values[s][p] belongs to
// training seed s and problem p; with three seeds and more each draw picks one of them first, so
// that the interval holds their spread too. NaN without a problem.
base::Interval bootstrap_problems(std::span<const std::vector<double>> values,
                                  const BootstrapOptions& options);

}  // namespace preimage::verifier
