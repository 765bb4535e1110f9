// The rows of the dcm tables. Losses are mean negative log-likelihoods, nats per token, EOS
// included unless the name says otherwise; a value that does not exist is NaN, a count -1, a text
// "".
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "preimage/store/columns.hpp"
#include "report/conflict.hpp"
#include "report/convergence.hpp"
#include "report/curve.hpp"
#include "report/gates.hpp"

namespace preimage::dcm {

using store::Columns;
using store::ColumnText;
using store::schema_columns;
using store::to_row;

inline constexpr double none = std::numeric_limits<double>::quiet_NaN();
inline constexpr float none_f32 = std::numeric_limits<float>::quiet_NaN();

// Which unit a row belongs to.
struct UnitColumns {
  std::string stage;  // "single", "joint", "ksweep", "paraphrase"
  int64_t pair_index = -1;
  std::string pair_id;
  int64_t k = 0;
  std::string init;
  void columns(Columns& c) const;
};

// First step at which a criterion held, counted from 0; -1: never.
struct FirstSteps {
  int64_t conv = -1;
  int64_t tight = -1;
  int64_t exact = -1;
  void columns(Columns& c) const;
};

// How the restarts of one unit went.
struct RestartSummary {
  int64_t run = 0;
  int64_t needed = -1;        // 1 + index of the first restart that met the criterion; -1: none
  int64_t best = -1;          // index of the chosen one
  int64_t total_steps = 0;    // over all that ran
  double distance = none;     // mean pairwise root-mean-square distance of their solutions
  double loss_spread = none;  // standard deviation of their final total losses
  void columns(Columns& c) const;
};

struct CurveColumns {
  CurveReport report;
  void columns(Columns& c) const;
};

struct ConflictColumns {
  ConflictReport report;
  void columns(Columns& c) const;
};

// dcm/pairs (stage joint) and dcm/sweep_pairs (the other stages).
struct PairRow {
  UnitColumns unit;
  std::string article;
  int64_t seed = 0;
  std::string question, answer;  // the targets, without EOS
  int64_t n_q = 0, n_a = 0;      // tokens, EOS included where it is appended
  double loss_q = none, loss_a = none;
  double loss_q_without_eos = none, loss_a_without_eos = none;
  double max_nll_q = none, max_nll_a = none;
  double random_q = none, random_a = none;
  double full_q = none, full_q_bos = none;
  double full_a = none, full_a_passage = none;
  double single_q = none, single_a = none;
  Convergence convergence;
  int64_t steps = 0;  // of the chosen restart
  FirstSteps first;
  RestartSummary restarts;
  CurveColumns curve;
  ConflictColumns conflict;
  double nearest_distance = none;  // mean over slots, in units of rms(E)
  std::string decoded_q, decoded_a;
  double f1_q = none, f1_a = none;
  double cosine_q = none, cosine_a = none;  // none without a text encoder
  bool repetition_q = false, repetition_a = false;
  std::string grade_q, grade_a, grade;  // text::grade_name: "pass", "partial", "fail"
  double seconds = none;
  void columns(Columns& c) const;
};

// dcm/single
struct SingleRow {
  UnitColumns unit;
  std::string article;
  std::string target;  // "question" or "answer"
  int64_t seed = 0;
  int64_t n = 0;
  double loss = none, loss_without_eos = none, max_nll = none;
  double random = none, full = none, single = none;
  bool conv = false, conv_by_baseline = false, tight = false, exact = false;
  int64_t steps = 0;
  FirstSteps first;
  RestartSummary restarts;
  CurveColumns curve;
  std::string decoded;
  double f1 = none, cosine = none;
  std::string grade;
  double seconds = none;
  void columns(Columns& c) const;
};

// dcm/baselines
struct BaselineRow {
  int64_t pair_index = -1;
  std::string pair_id;
  std::string target;  // "question" or "answer"
  std::string kind;    // "random", "full", "full_bos", "full_passage", "single"
  int64_t k = 0;       // random vectors in front; 0 for the other kinds
  int64_t draw = 0;
  int64_t n = 0;
  double loss = none, loss_without_eos = none;
  std::string prompt;  // the text in front; the token for single; "" for random
  void columns(Columns& c) const;
};

// dcm/restarts
struct RestartRow {
  UnitColumns unit;
  std::string target;  // "both", or in stage single "question" or "answer"
  int64_t restart = 0;
  bool chosen = false;
  double loss_q = none, loss_a = none;
  double max_nll_q = none, max_nll_a = none;
  bool conv = false, tight = false, exact = false;
  int64_t steps = 0;
  int64_t best_step = -1;
  FirstSteps first;
  CurveColumns curve;
  ConflictColumns conflict;
  double distance_to_chosen = none;
  double seconds = none;
  void columns(Columns& c) const;
};

// dcm/curves; float32, as the optimiser has them
struct CurveRow {
  UnitColumns unit;
  std::string target;
  int64_t restart = 0;
  int64_t step = 0;
  float learning_rate = none_f32;
  float loss_q = none_f32, loss_a = none_f32;
  float kappa = none_f32;
  float gradient_q = none_f32, gradient_a = none_f32;
  float manifold = none_f32;
  void columns(Columns& c) const;
};

// dcm/nearest_tokens
struct NearestTokenRow {
  UnitColumns unit;
  int64_t slot = 0;
  int64_t token_id = -1;
  std::string token;
  double distance = none;
  double cosine = none;
  void columns(Columns& c) const;
};

// dcm/gates
struct GateRow {
  std::string stage;
  int64_t k = 0;
  std::string init;
  GateResult result;
  std::string taken;  // what the run did: "recorded", "stopped the run", "ran stage paraphrase"
  void columns(Columns& c) const;
};

// dcm/sweep
struct SweepRow {
  std::string stage;
  int64_t k = 0;
  std::string init;
  int64_t pairs = 0;
  base::Interval conv, tight, exact;
  double loss_q = none, loss_a = none;
  double steps = none;
  double steps_to_conv = none, steps_to_tight = none, steps_to_exact = none;
  double restarts_needed = none;
  bool minimum_viable = false;
  double seconds = none;
  double seconds_to_conv = none, seconds_to_tight = none, seconds_to_exact = none;
  void columns(Columns& c) const;
};

}  // namespace preimage::dcm
