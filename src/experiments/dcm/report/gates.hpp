// The decision gates. Each looks at the first n pairs by index, so that the decision does not
// depend on who finished first.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/config.hpp"
#include "preimage/base/statistics.hpp"

namespace preimage::dcm {

struct GateOptions {
  std::string mode = "record";  // record | enforce: whether a failed stop gate ends the run
  double g1_single_conv = 0.70;
  int64_t g2_pairs = 50;
  double g2_conv = 0.20;
  int64_t g3_pairs = 100;
  double g3_conv = 0.30;
  double g4_correlation = -0.3;
  double g4_negative = 0.5;
  double g4_pairs = 0.25;
  double g5_loss = 1e-7;
  double g5_pairs = 0.05;
  double g6_conv = 0.50;
  double spot_pass = 0.80;
  int64_t spot_cases = 5;

  void fields(base::Fields& f);
  base::ConfigErrors check(const std::string& prefix) const;
};

// no_evidence: the gate would pass, and so it would for the baselines, without any optimisation.
// not_reached: fewer pairs than the gate asks for, so that it decides nothing.
enum class Verdict { pass, fail, inconclusive, no_evidence, not_reached };
std::string_view name(Verdict verdict);

// What the gates need to know of a pair, in the order of the pairs' index.
struct SingleOutcome {
  std::string article;
  bool conv_q = false;
  bool conv_a = false;
  bool baseline_q = false;  // a baseline alone meets the rule of conv
  bool baseline_a = false;
};

struct JointOutcome {
  std::string article;
  double loss_q = 0, loss_a = 0;      // nats per token
  double random_q = 0, random_a = 0;  // R
  double full_q = 0, full_a = 0;      // F: the question from the answer's tokens, and the other way
  double single_q = 0, single_a = 0;  // S
  bool conv = false;                  // strict reading
  bool conv_by_baseline = false;      // a baseline alone meets the rule for both targets
  bool conflict_known = false;        // the trajectory was long enough to judge anti_correlate by
  bool anti_correlate = false;
  bool passed = false;  // grade Pass on both targets
};

struct GateResult {
  std::string gate;       // "G1" .. "G6", "table.minimum", "table.good", "table.excellent", "spot"
  std::string predicate;  // what the verdict is about, with the thresholds used
  std::string finding;    // what holds, with the figures
  int64_t asked = 0;      // pairs the gate asks for; 0: all there are
  int64_t used = 0;       // pairs it looked at
  base::Interval value;   // the rate, with Wilson's 95 % interval over pairs
  base::Interval by_article;  // the same rate, 95 % bootstrap over articles
  double threshold = 0;
  Verdict verdict = Verdict::not_reached;
  std::string action;  // what is to be done under this verdict; "" for nothing
  std::string detail;  // further figures
};

// `seed` is that of the bootstrap.
GateResult gate_single(std::span<const SingleOutcome> pairs, const GateOptions& options,
                       uint64_t seed);  // G1
GateResult gate_early(std::span<const JointOutcome> pairs, const GateOptions& options,
                      uint64_t seed);  // G2
GateResult gate_viable(std::span<const JointOutcome> pairs, const GateOptions& options,
                       uint64_t seed);  // G3
GateResult gate_conflict(std::span<const JointOutcome> pairs, const GateOptions& options,
                         uint64_t seed);  // G4
GateResult gate_zero_loss(std::span<const JointOutcome> pairs, const GateOptions& options,
                          uint64_t seed);  // G5
GateResult gate_success(std::span<const JointOutcome> pairs, const GateOptions& options,
                        uint64_t seed);  // G6
GateResult gate_spot(std::span<const JointOutcome> pairs, const GateOptions& options,
                     uint64_t seed);

// The measures of the table of thresholds.
struct TableMeasures {
  double conv = 0;
  double loss_ratio = 0;  // mean over pairs of (L_Q + L_A) / (R_Q + R_A)
  double balance_q = 0;   // mean L_Q / mean F_Q
  double balance_a = 0;   // mean L_A / mean F_A
};
TableMeasures table_measures(std::span<const JointOutcome> pairs);
// The same of the baseline S in the place of the solutions.
TableMeasures baseline_measures(std::span<const JointOutcome> pairs);
// Three results, minimum, good and excellent; each needs all of its measures.
std::vector<GateResult> gate_table(std::span<const JointOutcome> pairs, uint64_t seed);

// G2 to G6, the three rows of the table, spot, in this order.
std::vector<GateResult> joint_gates(std::span<const JointOutcome> pairs, const GateOptions& options,
                                    uint64_t seed);

// Indices of the pairs to read by hand: the first `count` that converged (the pairs themselves are
// a seeded draw).
std::vector<int64_t> spot_cases(std::span<const JointOutcome> pairs, int64_t count);

}  // namespace preimage::dcm
