// When a pair counts as solved: the rule of conv in both readings, and the two stricter rates
// beside it.
#pragma once

namespace preimage::dcm {

inline constexpr double ln2 = 0.693147180559945309417;

// One target (the question or the answer) under its solution. Losses are mean negative
// log-likelihoods in nats per token.
struct TargetOutcome {
  double loss = 0;
  double max_nll = 0;  // the worst token's negative log-likelihood, nats
  bool exact = false;  // greedy decoding gives the target, token for token
  double random = 0;   // R: under random embeddings behind the mode vector
  double full = 0;     // F: the question from the answer's tokens, the answer from the question's
  double single = 0;   // S: under one random token
};

struct ConvergenceOptions {
  double random_factor = 0.3;
  double full_factor = 2.0;
  double tight_nll = ln2;
};

// The rule of conv: loss < random_factor R or loss < full_factor F. A loss or baseline that is NaN
// meets nothing.
bool meets_rule(double loss, double random, double full, const ConvergenceOptions& options);
// Whether R or S in the place of the loss meets it: without any optimisation, so that conv says
// nothing of this target.
bool baseline_meets_rule(const TargetOutcome& target, const ConvergenceOptions& options);

struct Convergence {
  bool conv_q = false;
  bool conv_a = false;
  bool conv = false;      // strict reading: both targets meet the rule
  bool conv_sum = false;  // sum reading: the rule on L_Q + L_A, R_Q + R_A, F_Q + F_A
  // By the lemma each token's p > 1/2 makes greedy decoding give the target: tight implies exact.
  bool tight = false;  // both max_nll below tight_nll
  bool exact = false;  // both decoded exactly
  // For both targets the rule holds without any optimisation, for R or S in the place of the loss:
  // where F is large, conv says nothing.
  bool conv_by_baseline = false;
};

Convergence judge_convergence(const TargetOutcome& question, const TargetOutcome& answer,
                              const ConvergenceOptions& options = {});

}  // namespace preimage::dcm
