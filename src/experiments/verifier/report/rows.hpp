// The rows of the verifier's tables, each column named once. A value that does not exist is NaN.
#pragma once

#include <cstdint>
#include <string>

#include "preimage/base/statistics.hpp"
#include "preimage/store/columns.hpp"

namespace preimage::verifier {

using store::Columns;

struct ProblemRow {
  std::string problem_id, split, group, prompt;
  int64_t candidates = 0, passing = 0, infra = 0;
  int64_t distinct_passing = 0, distinct_failing = 0, duplicates = 0, contradictions = 0;
  bool ranked = false;
  void columns(Columns& c) const;
};

// A program as the generator wrote it and the sandbox judged it: what a unit of the first stage
// leaves for the later ones.
struct ProgramRow {
  std::string problem_id;
  int64_t candidate = 0;
  std::string program, normal_form, outputs;
  int64_t tokens = 0;
  double logprob_sum = 0;
  std::string stop, verdict;
  double cpu_s = 0;
  std::string detail;
  int64_t passes_shown = -1;
  void columns(Columns& c) const;
};

struct CandidateRow {
  std::string problem_id, split;
  int64_t candidate = 0;
  std::string program;
  int64_t tokens = 0;
  double logprob_sum = 0, logprob_mean = 0;
  std::string stop, verdict, normal_form, outputs;
  double energy = 0;
  bool truncated = false;
  double cpu_s = 0;
  std::string detail;
  bool passes = false;
  int64_t passes_shown = -1;
  void columns(Columns& c) const;
};

struct EnergyRow {
  int64_t seed = 0;
  std::string arm, loss, problem_id;
  int64_t candidate = 0;
  double energy = 0, energy_blind = 0;
  void columns(Columns& c) const;
};

struct PairRow {
  std::string problem_id;
  int64_t positive = 0, negative = 0;
  bool hard = false;
  double weight = 0;
  void columns(Columns& c) const;
};

struct TrainingRow {
  std::string arm, loss;
  int64_t seed = 0, step = 0;
  double epoch = 0, training_loss = 0, pair_accuracy = 0, gradient_norm = 0, learning_rate = 0,
         validation_accuracy = 0;
  bool best = false;
  double pairs_per_s = 0;
  void columns(Columns& c) const;
};

struct SelectionRow {
  std::string selector, arm, loss;
  int64_t seed = -1;
  std::string problem_id;
  int64_t candidate = 0;
  double cost = 0;
  bool passes = false;
  int64_t passing = 0, candidates = 0;
  void columns(Columns& c) const;
};

struct MetricRow {
  std::string subset, selector, arm, loss, metric;
  base::Interval value;
  int64_t problems = 0, seeds = 0;
  void columns(Columns& c) const;
};

namespace table {
inline constexpr const char* problems = "verifier/problems";      // ProblemRow
inline constexpr const char* programs = "verifier/programs";      // ProgramRow; intermediate
inline constexpr const char* candidates = "verifier/candidates";  // CandidateRow
inline constexpr const char* energies = "verifier/energies";      // EnergyRow
inline constexpr const char* pairs = "verifier/pairs";            // PairRow
inline constexpr const char* training = "verifier/training";      // TrainingRow
inline constexpr const char* selection = "verifier/selection";    // SelectionRow
inline constexpr const char* metrics = "verifier/metrics";        // MetricRow
}  // namespace table

namespace tensor {
inline constexpr const char* inputs = "verifier/inputs";  // int64 [tokens] an item
}  // namespace tensor

store::Schemas verifier_schemas();

}  // namespace preimage::verifier
