// The group "sweep" of grpo: on-policy training by arms and seeds (phase 3).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "measure/projection.hpp"
#include "preimage/base/config.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/optim/adam.hpp"
#include "preimage/optim/schedule.hpp"

namespace preimage::grpo {

// What an arm does with the gradient and the update.
enum class SweepArm {
  vanilla,            // nothing
  projected,          // takes the hack direction out of the gradient
  random,             // the same with random directions in its place: the control of "projected"
  projected_update,   // also out of what the optimiser did
  projected_moments,  // also out of Adam's first moment
  projected_sgd,      // projected gradients under SGD with momentum, which cannot leak
  advantage,          // subtracts the samples' likeness to the direction from their advantages
  // "projected" with another gate, as the probe's arms of these names:
  projected_no_gate,
  projected_reverse,
  projected_overshoot,
  projected_preserved,
};
// "vanilla", ...; throws ExitCode::bad_config for another word.
SweepArm parse_sweep_arm(const std::string& word);
const char* sweep_arm_name(SweepArm arm);
// Whether the arm takes anything out of gradients.
bool projects(SweepArm arm);
ProjectionOptions projection_of(SweepArm arm);

struct SweepConfig {
  std::vector<int64_t> seeds = {41, 42, 43};
  std::vector<std::string> arms = {"vanilla", "projected", "random"};
  // LoRA folder on the model from the start, its B A times `start_strength`: the policy that the
  // runs begin with, and the reference of K3. "": the model itself.
  std::string start;
  double start_strength = 1;
  lm::AdapterOptions adapter = {.kind = "svd", .rank = 32, .alpha = 32, .train_a = false};
  int64_t steps = 200;
  int64_t prompts = 43;  // of a step
  int64_t group = 6;     // completions of a prompt
  int64_t max_new_tokens = 1536;
  double temperature = 0.7, top_p = 0.95;
  bool hint = true;                         // of the training prompts
  std::string denominator = "dr_grpo";      // "plan", "dr_grpo" or "classic"
  double kl = 1e-3;                         // weight of K3 to the zeroed adapter
  double advantage_penalty = 1;             // of the arm "advantage", in rewards for a cosine of 1
  double sgd_lr = 0.1, sgd_momentum = 0.9;  // of the arm "projected_sgd"
  optim::ScheduleOptions schedule = {.kind = "warmup-cosine", .lr = 1e-3, .warmup_steps = 10};
  optim::AdamOptions adam = {.beta2 = 0.99, .weight_decay = 0.1};
  int64_t evaluate_every = 50;    // steps; before the first update and after the last always
  int64_t evaluate_samples = 10;  // of each test problem, with hint and without
  int64_t evaluate_problems = 0;  // of the test problems, the first ones; 0: all
  int64_t batch = 64;             // sequences in flight
  int64_t batch_tokens = 8192;    // through the model at once in backward passes
  double checkpoint_interval_s = 60;
  // Early ends; 0 or false: never.
  int64_t hopeless_step = 150;  // a vanilla run is ended there
  double hopeless_rate = 0.1;   // when its loophole was used in fewer of the last five steps
  bool futility = true;         // after two matched seeds
  bool cost_ceiling = true;     // after all seeds of the first two arms

  void fields(base::Fields& f);
  // Rules between fields; `prefix` ("grpo.sweep.") starts every name.
  base::ConfigErrors check(const std::string& prefix) const;
};

}  // namespace preimage::grpo
