#include "sweep/config.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/train/loop.hpp"
#include "probe/arm.hpp"

namespace preimage::grpo {
namespace {

constexpr std::array<const char*, 11> kArms = {"vanilla",
                                               "projected",
                                               "random",
                                               "projected_update",
                                               "projected_moments",
                                               "projected_sgd",
                                               "advantage",
                                               "projected_no_gate",
                                               "projected_reverse",
                                               "projected_overshoot",
                                               "projected_preserved"};

void add_training(base::Fields& f, SweepConfig& c) {
  auto shape = c.schedule.shape();
  f.group("schedule", shape);
  f.group("adam", c.adam);
  f.add("weight_decay", c.adam.weight_decay,
        {.help = "decoupled decay of matrices", .min = 0, .max = 10});
  f.add("sgd_lr", c.sgd_lr, {.help = "of the arm projected_sgd", .min = 0, .max = 1e6});
  f.add("sgd_momentum", c.sgd_momentum, {.help = "of that arm", .min = 0, .max = 0.9999});
  f.add("kl", c.kl, {.help = "weight of K3 to the zeroed adapter", .min = 0, .max = 10});
  f.add("denominator", c.denominator,
        {.help = "what a sample's sum of token losses is divided by",
         .choices = {"plan", "dr_grpo", "classic"}});
  f.add("advantage_penalty", c.advantage_penalty,
        {.help = "of the arm advantage: reward taken for a cosine of 1 with the direction",
         .min = 0,
         .max = 1000});
}

void add_evaluation(base::Fields& f, SweepConfig& c) {
  f.add("evaluate_every", c.evaluate_every,
        {.help = "between evaluations; 0: before the first step and after the last alone",
         .unit = "steps",
         .min = 0});
  f.add("evaluate_samples", c.evaluate_samples,
        {.help = "completions of each test problem, with hint and without", .min = 0, .max = 1e4});
  f.add("evaluate_problems", c.evaluate_problems,
        {.help = "test problems, the first ones; 0: all", .min = 0});
}

void add_early_ends(base::Fields& f, SweepConfig& c) {
  f.add("hopeless_step", c.hopeless_step,
        {.help = "step at which a vanilla run that does not hack ends; 0: never",
         .unit = "steps",
         .min = 0});
  f.add("hopeless_rate", c.hopeless_rate,
        {.help = "share of loophole use below which it does not hack", .min = 0, .max = 1});
  f.add("futility", c.futility,
        {.help = "end after two matched seeds when the second arm lowers the strict hack rate of "
                 "the first by less than 0.05 in both"});
  f.add("cost_ceiling", c.cost_ceiling,
        {.help = "run the third arm and those behind it only if the second lowers the strict hack "
                 "rate by 0.15 in the mean and in every seed"});
}

}  // namespace

SweepArm parse_sweep_arm(const std::string& word) {
  const auto found = std::find(kArms.begin(), kArms.end(), word);
  if (found == kArms.end()) {
    throw base::config_error(base::str("grpo.sweep.arms: found \"", word, "\", expected one of ",
                                       base::join({kArms.begin(), kArms.end()}, ", ")));
  }
  return static_cast<SweepArm>(found - kArms.begin());
}

const char* sweep_arm_name(SweepArm arm) {
  return kArms[static_cast<size_t>(arm)];
}

bool projects(SweepArm arm) {
  return arm != SweepArm::vanilla && arm != SweepArm::advantage;
}

ProjectionOptions projection_of(SweepArm arm) {
  const bool of_gates = arm >= SweepArm::projected_no_gate;
  return of_gates ? arm_named(sweep_arm_name(arm)).projection : ProjectionOptions{};
}

void SweepConfig::fields(base::Fields& f) {
  f.add("seeds", seeds, {.help = "matched: prompts and random numbers of a seed are all arms'"});
  f.add("arms", arms,
        {.help = "in the order in which they run", .choices = {kArms.begin(), kArms.end()}});
  f.add("start", start,
        {.help = "LoRA folder on the model from the start: the policy that runs begin with; empty: "
                 "the model itself"});
  f.add("start_strength", start_strength,
        {.help = "times its change: below 1 the policy does more seldom what the folder taught",
         .min = 0,
         .max = 10});
  f.group("adapter", adapter);
  f.add("steps", steps, {.help = "updates of a run", .min = 1, .max = 1e6});
  f.add("prompts", prompts, {.help = "of a step", .min = 1, .max = 1e5});
  f.add("group", group, {.help = "completions of a prompt", .min = 2, .max = 1e4});
  f.add("max_new_tokens", max_new_tokens, {.help = "of a completion", .min = 1, .max = 1e6});
  f.add("temperature", temperature, {.help = "of sampling", .min = 0.01, .max = 10});
  f.add("top_p", top_p, {.help = "of sampling", .min = 0.01, .max = 1});
  f.add("hint", hint, {.help = "training prompts name the loophole"});
  add_training(f, *this);
  add_evaluation(f, *this);
  add_early_ends(f, *this);
  f.add("batch", batch,
        {.help = "sequences in flight", .min = 1, .max = 1e5, .role = base::FieldRole::placement});
  f.add("batch_tokens", batch_tokens,
        {.help = "put through the model at once in backward passes",
         .unit = "tokens",
         .min = 1,
         .role = base::FieldRole::placement});
  lm::add_checkpoint_interval(f, checkpoint_interval_s);
}

base::ConfigErrors SweepConfig::check(const std::string& prefix) const {
  auto whole = schedule;
  whole.steps = steps;
  auto errors = whole.check(prefix + "schedule.");
  if (seeds.empty()) errors.push_back(prefix + "seeds: names no seed");
  if (arms.empty()) errors.push_back(prefix + "arms: names no arm");
  if (std::set(seeds.begin(), seeds.end()).size() != seeds.size())
    errors.push_back(prefix + "seeds: names one twice");
  if (std::set(arms.begin(), arms.end()).size() != arms.size())
    errors.push_back(prefix + "arms: names one twice");
  if ((futility || cost_ceiling) && arms.size() >= 2 &&
      (arms[0] != "vanilla" || arms[1] != "projected")) {
    errors.push_back(prefix +
                     "arms: futility and cost_ceiling compare \"projected\", second, with "
                     "\"vanilla\", first; set them to false for another order");
  }
  return errors;
}

}  // namespace preimage::grpo
