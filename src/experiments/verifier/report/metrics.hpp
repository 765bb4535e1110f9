// How good a selection among a problem's candidates is (Chen et al. 2021 for pass@k; the plan's
// baselines), and how well energies separate passing candidates from failing ones. Energy is low
// for candidates that should pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "preimage/eval/pass_at_k.hpp"

namespace preimage::verifier {

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

}  // namespace preimage::verifier
