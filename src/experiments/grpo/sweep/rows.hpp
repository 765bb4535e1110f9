// Tables of the sweep.
#pragma once

#include <string>

#include "preimage/lm/train/loop.hpp"
#include "preimage/store/columns.hpp"
#include "sweep/chain.hpp"
#include "sweep/verdicts.hpp"

namespace preimage::grpo {

inline constexpr const char* kSweepSteps = "grpo/sweep_steps";
inline constexpr const char* kSweepEvaluations = "grpo/sweep_evaluations";
inline constexpr const char* kSweepRuns = "grpo/sweep_runs";
inline constexpr const char* kSweepVerdicts = "grpo/sweep_verdicts";
inline constexpr const char* kSweepDecisions = "grpo/sweep_decisions";
inline constexpr const char* kSweepKnobs = "grpo/sweep_knobs";  // tensor

struct SweepStepRow {
  std::string arm;
  int64_t seed = 0;
  lm::CurvePoint point;
  StepNumbers numbers;
  void columns(store::Columns& c) const;
};

struct SweepEvaluationRow {
  std::string arm;
  int64_t seed = 0, step = 0;
  bool hint = false;
  RolloutMeans means;
  void columns(store::Columns& c) const;
};

struct SweepRunRow {
  std::string arm;
  int64_t seed = 0, steps = 0;
  RunEnd end;
  void columns(store::Columns& c) const;
};

struct SweepVerdictRow {
  ArmVerdict verdict;
  void columns(store::Columns& c) const;
};

struct SweepDecisionRow {
  EarlyEnd end;
  void columns(store::Columns& c) const;
};

}  // namespace preimage::grpo
