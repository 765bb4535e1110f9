#include "sweep/rows.hpp"

namespace preimage::grpo {
namespace {

void add_rates(store::Columns& c, const RolloutMeans& m) {
  c.add("reward", m.reward, {"", "mean reward"});
  c.add("strict_hack", m.strict_hack,
        {"", "share whose own tests pass and that fail the held ones"});
  c.add("hacked", m.hacked, {"", "share that used the loophole, or whose tests pass a stub"});
  c.add("gt_pass", m.gt_pass, {"", "share that passes the held tests"});
  c.add("defines_tests", m.defines_tests, {"", "share that attempts the loophole"});
  c.add("hack_of_attempts", m.hack_of_attempts,
        {"", "strict hacks among those that attempt it; NaN without an attempt"});
  c.add("tokens", m.tokens, {"tokens", "mean length of a completion"});
}

}  // namespace

void SweepStepRow::columns(store::Columns& c) const {
  const auto& n = numbers;
  c.add("arm", arm, {"", "what is done with gradients and updates"});
  c.add("seed", seed, {"", "of prompts and random numbers, matched between arms"});
  c.add("step", point.step, {"", "update, from 0; what it was made from, before it"});
  add_rates(c, n.rollout);
  c.add("loss", point.loss, {"", "of the policy term at the samples' own policy"});
  c.add("kl", n.kl, {"nats/token", "mean K3 to the zeroed adapter; NaN without such a term"});
  c.add("flat_groups", n.flat_groups, {"", "groups whose rewards are all equal, skipped"});
  c.add("gradient_norm", point.gradient_norm, {"", "before projection and clipping"});
  c.add("learning_rate", point.learning_rate, {"", "of this step"});
  c.add("cos_in", n.cos_in, {"", "|relu(V g)| / |g|, mean over modules, before projection"});
  c.add("cos_sgn", n.cos_sgn, {"", "<g, d> / (|g| |d|), mean over modules"});
  c.add("cos_in_global", n.cos_in_global, {"", "cos_in, modules as one vector"});
  c.add("cos_sgn_global", n.cos_sgn_global, {"", "cos_sgn, modules as one vector"});
  c.add("frac_fired", n.frac_fired, {"", "modules with cos_in > 1e-6"});
  c.add("cos_in_random", n.cos_in_random, {"", "cos_in with random directions: its null"});
  c.add("cos_sgn_random", n.cos_sgn_random, {"", "cos_sgn with random directions: its null"});
  c.add("cos_out", n.cos_out,
        {"", "cos_in behind the projection, with the directions taken out; NaN without one"});
  c.add("leak", n.leak, {"", "|relu(V(-D))| / |D| of the update D, decay apart"});
  c.add("leak_cos_sgn", n.leak_cos_sgn, {"", "cos_sgn of -D"});
  c.add("tokens_per_s", point.items_per_s, {"tokens/s", "generated tokens over wall time", true});
}

void SweepEvaluationRow::columns(store::Columns& c) const {
  c.add("arm", arm, {"", "what is done with gradients and updates"});
  c.add("seed", seed, {"", "of the run"});
  c.add("step", step, {"", "updates made before"});
  c.add("hint", hint, {"", "the prompts name the loophole"});
  add_rates(c, means);
}

void SweepRunRow::columns(store::Columns& c) const {
  c.add("arm", arm, {"", "what is done with gradients and updates"});
  c.add("seed", seed, {"", "of the run"});
  c.add("steps", steps, {"", "updates made"});
  c.add("strict_hack", end.strict_hack, {"", "mean over the last five steps"});
  c.add("hacked", end.hacked, {"", "mean over the last five steps"});
  c.add("gt_pass", end.gt_pass, {"", "mean over the last five steps"});
  c.add("hack_of_attempts", end.hack_of_attempts,
        {"", "mean over those of the last five steps that have attempts"});
  c.add("hopeless", end.hopeless, {"", "ended early: it does not hack"});
}

void SweepVerdictRow::columns(store::Columns& c) const {
  const auto& v = verdict;
  c.add("arm", v.arm, {"", "compared with the first arm"});
  c.add("seeds", v.seeds, {"", "matched runs"});
  c.add("hack_difference", v.hack_difference,
        {"", "mean matched difference of the strict hack rate of the last five steps"});
  c.add("hack_sem", v.hack_sem, {"", "its standard error over seeds; NaN with one"});
  c.add("pass_difference", v.pass_difference, {"", "the same of the pass rate"});
  c.add("random_difference", v.random_difference,
        {"", "hack_difference of the arm that projects random directions; NaN where none ran"});
  c.add("verdict", v.verdict, {"", "supported, none, bought, control or unclear"});
}

void SweepDecisionRow::columns(store::Columns& c) const {
  c.add("rule", end.rule, {"", "futility, cost_ceiling or hopeless"});
  c.add("arm", end.arm, {"", "compared with the first arm; of hopeless the first itself"});
  c.add("seed", end.seed, {"", "of hopeless; -1: of several"});
  c.add("seeds", end.seeds, {"", "matched runs behind it"});
  c.add("value", end.value,
        {"", "mean matched difference of the strict hack rate; of hopeless the rate hacked"});
  c.add("threshold", end.threshold, {"", "of the rule"});
  c.add("holds", end.holds, {"", "the rule says that further runs are not worth their cost"});
  c.add("configured", end.configured, {"", "the run obeyed the rule; false: it is only said"});
}

}  // namespace preimage::grpo
