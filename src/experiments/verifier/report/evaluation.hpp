// Which candidate each selector takes, and what that is worth.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "report/rows.hpp"

namespace preimage::verifier {

// The energies that one training gave to every candidate.
struct TrainedScores {
  std::string arm, loss;
  int64_t seed = 0;                           // 0, 1, ...
  std::vector<std::vector<double>> energies;  // [problem][candidate]
  std::vector<std::vector<double>> blind;     // the same with another problem's prompt; test only
};

struct EvaluationOptions {
  uint64_t seed = 0;
  int64_t bootstrap_draws = 10000;
  int64_t calibration_bins = 10;
};

struct Evaluation {
  std::vector<SelectionRow> selection;
  std::vector<MetricRow> metrics;
};

// Over the test problems; and again over those where selection matters, 0 < passing < candidates.
Evaluation evaluate(const Corpus& corpus, const std::vector<TrainedScores>& trainings,
                    const EvaluationOptions& options);

}  // namespace preimage::verifier
