// The loop of every training here: steps, validations in between, the curve, the resumable state on
// disk, and an end that all ranks come to together. What a step does, its caller says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/budget.hpp"
#include "preimage/base/config.hpp"
#include "preimage/lm/train/data_parallel.hpp"

namespace preimage::lm {

// What one step gives, alike on every rank.
struct StepReport {
  double loss = 0;
  double gradient_norm = 0;  // before clipping
  double learning_rate = 0;
  double items = 0;             // that the step went through (tokens, pairs): for the rate
  std::vector<double> numbers;  // the caller's own, as many in every step
};

struct CurvePoint {
  int64_t step = 0;
  double loss = 0;
  double gradient_norm = 0;
  double learning_rate = 0;
  double validation = std::numeric_limits<double>::quiet_NaN();  // NaN: not measured, or undefined
  double items_per_s = 0;                                        // measured
  std::vector<double> numbers;
};

struct LoopOptions {
  std::string what = "training";  // in messages: "training of arm ouroboros"
  // What decides the values, as text. A state on disk that names another training is refused.
  std::string identity;
  int64_t steps = 1000;        // at most
  int64_t evaluate_every = 0;  // steps; 0: only after the last one
  bool higher_is_better = false;
  int64_t patience = 0;    // validations without a better one that end the training; 0: never
  bool keep_best = false;  // remember the parameters of the best validation
  // The state is written when this time has passed since the last one, but never so often that
  // writing takes more than a twentieth of the time.
  double checkpoint_interval_s = 60;
  std::string remedy;  // what to change when the loss is not finite: "lower schedule.lr"
};
// The field "checkpoint_interval_s" of a training's config.
void add_checkpoint_interval(base::Fields& f, double& interval_s);

struct LoopHooks {
  // One update of the parameters. Collective.
  std::function<StepReport(int64_t step)> step;
  // The parameters as they are, measured; alike on every rank. Collective. None: never measured.
  std::function<double()> validate;
  // After each step, on every rank.
  std::function<void(const CurvePoint&)> report;
  // Whether it is over although steps are left: a pure function of the curve so far.
  std::function<bool(const std::vector<CurvePoint>&)> over;
};

struct LoopPlace {
  std::filesystem::path state;  // file of the resumable state; "" keeps none
  base::Budget* budget = nullptr;
};

struct LoopResult {
  std::vector<CurvePoint> curve;  // of all steps, those before a resume too
  double best_validation = std::numeric_limits<double>::quiet_NaN();
  int64_t best_step = -1;
  at::Tensor best;          // [n] with keep_best: of the best validation, or else of the last step
  bool finished = false;    // false: stopped by the budget of a rank; the state is on disk
  std::string stop_reason;  // of that rank: base::Budget::reason()
};

// Trains in place, from the state on disk where there is one. Stops between two steps, on all ranks
// at the same one, when the budget of any of them says so. Throws CollectiveError: bad_config for a
// loss or gradient that is not finite, bad_data for a state of another training, io where the state
// cannot be written (the one before it stays). Collective.
LoopResult run_loop(const Trained& trained, const LoopHooks& hooks, const LoopOptions& options,
                    const LoopPlace& place);

}  // namespace preimage::lm
