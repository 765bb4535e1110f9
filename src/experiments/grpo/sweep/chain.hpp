// One run of the sweep: an arm from a seed, step by step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "measure/directions.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/lm/generate/generator.hpp"
#include "preimage/lm/train/loop.hpp"
#include "sweep/config.hpp"
#include "sweep/rollout.hpp"
#include "sweep/update.hpp"

namespace preimage::grpo {

// What is measured at a step, beside what lm::CurvePoint holds.
struct StepNumbers {
  RolloutMeans rollout;  // of the training samples
  double kl = 0, flat_groups = 0;
  double cos_in = 0, cos_sgn = 0, cos_in_global = 0, cos_sgn_global = 0, frac_fired = 0;
  double cos_in_random = 0, cos_sgn_random = 0;  // the same gradient, random directions
  double cos_out = 0, leak = 0, leak_cos_sgn = 0;
  // On the test problems, with hint and without: before the step's update where it is due, and
  // behind the last update. NaN elsewhere.
  RolloutMeans hinted_before, plain_before, hinted_after, plain_after;

  std::vector<double> packed() const;
  static StepNumbers unpacked(const std::vector<double>& numbers);
};

// What all runs share. The adapter as it is before the first step; its values are copied.
struct SweepParts {
  const lm::Model& base;
  const lm::LiveAdapter& adapter;
  const SweepDirections& directions;
  RewardSource& source;
  lm::GeneratorOptions generator;
  std::vector<int64_t> stop_ids;
};

struct SweepChainOptions {
  SweepArm arm = SweepArm::vanilla;
  int64_t seed = 0;
  SweepConfig sweep;
};

struct SweepPlace {
  const cluster::Communicator& worker;  // the ranks that share the run
  std::filesystem::path state;          // file of the resumable state; "" keeps none
  base::Budget* budget = nullptr;
  std::function<void(const lm::CurvePoint&)> report;
  std::function<bool()> stopping;  // asked often
};

struct SweepResult {
  std::vector<lm::CurvePoint> curve;  // numbers: StepNumbers
  at::Tensor knobs;                   // [n] float32 on the CPU, after the last step
  bool finished = false;              // false: stopped; the state is on disk
  bool hopeless = false;              // ended because it does not hack
};

// From the state on disk where there is one. The values depend on the parts, the options and the
// seed alone, and not on how many ranks share the run: prompts and random numbers of a step are
// keyed by (seed, step, place), the same for every arm. Collective over the worker's ranks: each
// writes and differentiates its share of the prompts.
SweepResult run_sweep_chain(const SweepParts& parts, const SweepChainOptions& options,
                            const SweepPlace& place);

}  // namespace preimage::grpo
