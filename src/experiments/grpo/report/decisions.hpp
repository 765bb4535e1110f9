// The probe's decision rules as predicates over step values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace preimage::grpo {

// Everything that the rules look at: step values of the vanilla and of the projected arm (skipped
// steps left out), and what directions that mean nothing give.
struct ProbeEvidence {
  std::vector<double> reward_range;     // of every group, skipped ones too
  std::vector<double> base_reward_max;  // likewise
  std::vector<double> cos_in, cos_sgn;  // vanilla
  double null_mean = 0, null_sd = 0;    // empirical null of the mean over steps of cos_in
  std::vector<double> null_step_sd;     // of each step's cos_in, beside `cos_in`
  double signed_null_sd = 0;            // empirical null of the mean over steps of cos_sgn
  std::vector<double> projected_in, projected_out, projected_fired, projected_leak;
  bool over_projected = false;
  double auc_low = 0, auc_high = 1;  // teacher against base by cos_nll
  bool both_buckets = false;         // the teacher has hacked samples and others
  double hacked_effect = 0;          // mean cos_nll of hacked less that of others, within teacher
};

struct Decision {
  std::string id;
  bool holds = false;
  std::string verdict;  // what follows where it holds; P1: ok, warn or useless
  double value = 0, threshold = 0;
  std::string detail;
};

// P1, P2a-e, P3, P4, P4x, P5, SKIP3, VAR1 in this order, then "verdict". Counts of "16 of 20" are
// asked of 80 % of the steps that there are. Precedence of the verdict: no reward variance; a fault
// of the projection; SKIP3 (before P2b's "run all the same"); the wrong sign; strong; weak or about
// zero.
std::vector<Decision> decide(const ProbeEvidence& evidence);

// P(X >= count) of `steps` fair coins.
double binomial_tail(int64_t count, int64_t steps);

}  // namespace preimage::grpo
