#include "sweep/chain.hpp"

#include <limits>
#include <optional>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/tensor_reduce.hpp"

namespace preimage::grpo {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kLastSteps = 5;

Denominator denominator_of(const std::string& word) {
  if (word == "plan") return Denominator::plan;
  return word == "classic" ? Denominator::classic : Denominator::dr_grpo;
}

std::vector<double*> places_of(RolloutMeans& m) {
  return {&m.reward,        &m.strict_hack,      &m.hacked, &m.gt_pass,
          &m.defines_tests, &m.hack_of_attempts, &m.tokens};
}

std::vector<double*> places_of(StepNumbers& n) {
  std::vector<double*> out = {&n.kl,         &n.flat_groups,   &n.cos_in,
                              &n.cos_sgn,    &n.cos_in_global, &n.cos_sgn_global,
                              &n.frac_fired, &n.cos_in_random, &n.cos_sgn_random,
                              &n.cos_out,    &n.leak,          &n.leak_cos_sgn};
  for (auto* means :
       {&n.rollout, &n.hinted_before, &n.plain_before, &n.hinted_after, &n.plain_after}) {
    for (double* place : places_of(*means)) out.push_back(place);
  }
  return out;
}

RolloutMeans unmeasured() {
  RolloutMeans out;
  for (double* place : places_of(out)) *place = not_a_number;
  return out;
}

uint64_t key_of(int64_t seed, const std::string& place) {
  const base::RandomStream stream(static_cast<uint64_t>(seed), place, "sampling");
  return uint64_t{stream.bits(0)} << 32 | stream.bits(1);
}

class SweepChain {
 public:
  SweepChain(const SweepParts& parts, const SweepChainOptions& options, const SweepPlace& place)
      : parts_(parts),
        options_(options),
        place_(place),
        adapter_(parts.adapter),
        adam_{at::zeros_like(parts.adapter.parameters.flat),
              at::zeros_like(parts.adapter.parameters.flat), 0} {
    adapter_.parameters = lm::make_parameters(adapter_.tensors, parts.base.device());
    adapter_.parameters.flat.copy_(parts.adapter.parameters.flat);
    model_ = lm::with_adapter(parts.base, adapter_);
    generator_.emplace(*model_, parts.generator);
    schedule_ = options.sweep.schedule;
    schedule_.steps = options.sweep.steps;
  }

  SweepResult run();

 private:
  // The run is stopping: the step that was begun is dropped.
  struct Stopped {};

  lm::StepReport step(int64_t number);
  std::vector<SampleGroup> roll_out_tasks(const std::vector<RolloutTask>& tasks, int64_t group);
  std::vector<RolloutTask> training_tasks(int64_t number) const;
  RolloutMeans evaluate(bool hint);
  UpdateResult update_on(const std::vector<SampleGroup>& groups, double rate);
  bool hopeless(const std::vector<lm::CurvePoint>& curve) const;
  std::string identity() const;

  const SweepParts& parts_;
  const SweepChainOptions& options_;
  const SweepPlace& place_;
  lm::LiveAdapter adapter_;
  optim::AdamWState adam_;
  std::shared_ptr<const lm::Model> model_;
  std::optional<lm::Generator> generator_;
  optim::ScheduleOptions schedule_;
};

std::vector<RolloutTask> SweepChain::training_tasks(int64_t number) const {
  const auto& s = options_.sweep;
  const int64_t problems = parts_.source.problems(/*test=*/false);
  std::vector<RolloutTask> tasks;
  std::vector<int64_t> order;
  int64_t epoch = -1;
  for (int64_t j = 0; j < s.prompts; ++j) {
    const int64_t at = number * s.prompts + j;
    if (at / problems != epoch) {
      epoch = at / problems;
      order = base::RandomStream(static_cast<uint64_t>(options_.seed), base::str("epoch ", epoch),
                                 "order of problems")
                  .permutation(problems);
    }
    tasks.push_back({.problem = order[static_cast<size_t>(at % problems)],
                     .hint = s.hint,
                     .key = key_of(options_.seed, base::str("step ", number, " prompt ", j))});
  }
  return tasks;
}

std::vector<SampleGroup> SweepChain::roll_out_tasks(const std::vector<RolloutTask>& tasks,
                                                    int64_t group) {
  const auto& s = options_.sweep;
  const auto& ranks = place_.worker;
  const auto own = cluster::owned_shards(std::ssize(tasks), ranks.rank(), ranks.size());
  const std::vector<RolloutTask> mine(tasks.begin() + own.begin, tasks.begin() + own.end);
  auto groups = roll_out(*generator_, parts_.source, mine,
                         {.group = group,
                          .max_new_tokens = s.max_new_tokens,
                          .temperature = s.temperature,
                          .top_p = s.top_p,
                          .stop_ids = parts_.stop_ids,
                          .stopping = place_.stopping});
  if (ranks.any(groups.size() < mine.size())) throw Stopped{};
  if (ranks.size() == 1) return groups;
  std::vector<SampleGroup> all;
  for (const auto& bytes : ranks.all_gather(packed_groups(groups)))
    for (auto& one : unpacked_groups(bytes)) all.push_back(std::move(one));
  return all;
}

// Random numbers are the same at every step and in every arm, so that differences are of the
// policies.
RolloutMeans SweepChain::evaluate(bool hint) {
  const auto& s = options_.sweep;
  if (s.evaluate_samples == 0) return unmeasured();
  const int64_t all = parts_.source.problems(/*test=*/true);
  const int64_t count = s.evaluate_problems > 0 ? std::min(all, s.evaluate_problems) : all;
  std::vector<RolloutTask> tasks;
  for (int64_t problem = 0; problem < count; ++problem) {
    tasks.push_back({.test = true,
                     .problem = problem,
                     .hint = hint,
                     .key = key_of(options_.seed, base::str("evaluation ", problem, " ", hint))});
  }
  return means_of(roll_out_tasks(tasks, s.evaluate_samples));
}

UpdateResult SweepChain::update_on(const std::vector<SampleGroup>& groups, double rate) {
  const auto& s = options_.sweep;
  return update({parts_.base, adapter_, adam_, place_.worker}, groups, parts_.directions,
                {.arm = options_.arm,
                 .denominator = denominator_of(s.denominator),
                 .max_new_tokens = s.max_new_tokens,
                 .kl = s.kl,
                 .advantage_penalty = s.advantage_penalty,
                 .learning_rate = rate,
                 .sgd_momentum = s.sgd_momentum,
                 .adam = s.adam,
                 .projection = projection_of(options_.arm),
                 .batch_tokens = s.batch_tokens});
}

lm::StepReport SweepChain::step(int64_t number) {
  const auto& s = options_.sweep;
  generator_->weights_changed();
  StepNumbers n;
  n.hinted_before = n.plain_before = n.hinted_after = n.plain_after = unmeasured();
  if (number == 0 || (s.evaluate_every > 0 && number % s.evaluate_every == 0))
    n.hinted_before = evaluate(true), n.plain_before = evaluate(false);
  const auto groups = roll_out_tasks(training_tasks(number), s.group);
  n.rollout = means_of(groups);
  const double share = optim::learning_rate(schedule_, number);
  const double rate =
      options_.arm == SweepArm::projected_sgd ? s.sgd_lr * share / schedule_.lr : share;
  const auto u = update_on(groups, rate);
  n.kl = u.kl, n.flat_groups = static_cast<double>(u.flat_groups);
  n.cos_in = u.before.cos_in, n.cos_sgn = u.before.cos_sgn;
  n.cos_in_global = u.before.cos_in_global, n.cos_sgn_global = u.before.cos_sgn_global;
  n.frac_fired = u.before.frac_fired;
  n.cos_in_random = u.random.cos_in, n.cos_sgn_random = u.random.cos_sgn;
  n.cos_out = u.cos_out, n.leak = u.leak.cos_in, n.leak_cos_sgn = u.leak.cos_sgn;
  if (number + 1 == s.steps) {
    generator_->weights_changed();
    n.hinted_after = evaluate(true), n.plain_after = evaluate(false);
  }
  return {.loss = u.loss,
          .gradient_norm = u.gradient_norm,
          .learning_rate = rate,
          .items = n.rollout.tokens * static_cast<double>(n.rollout.samples),
          .numbers = n.packed()};
}

// Mean of the last steps' loophole use.
bool SweepChain::hopeless(const std::vector<lm::CurvePoint>& curve) const {
  const auto& s = options_.sweep;
  if (options_.arm != SweepArm::vanilla || s.hopeless_step == 0 ||
      std::ssize(curve) != s.hopeless_step || s.hopeless_step < kLastSteps)
    return false;
  double sum = 0;
  for (int64_t i = 0; i < kLastSteps; ++i)
    sum += StepNumbers::unpacked(curve[curve.size() - 1 - static_cast<size_t>(i)].numbers)
               .rollout.hacked;
  return sum / kLastSteps < s.hopeless_rate;
}

std::string SweepChain::identity() const {
  auto sweep = options_.sweep;
  const auto fields = base::fields_of(sweep);
  return base::canonical({{"arm", sweep_arm_name(options_.arm)},
                          {"seed", options_.seed},
                          {"sweep", base::identity_json(fields)},
                          {"knobs", adapter_.knobs()}});
}

SweepResult SweepChain::run() {
  SweepResult out;
  const auto what =
      base::str("run of arm ", sweep_arm_name(options_.arm), ", seed ", options_.seed);
  try {
    auto result = lm::run_loop({adapter_.parameters, adam_, place_.worker},
                               {.step = [this](int64_t number) { return step(number); },
                                .report = place_.report,
                                .over = [this](const auto& curve) { return hopeless(curve); }},
                               {.what = what,
                                .identity = identity(),
                                .steps = options_.sweep.steps,
                                .checkpoint_interval_s = options_.sweep.checkpoint_interval_s,
                                .remedy = "lower sweep.schedule.lr"},
                               {place_.state, place_.budget});
    out.finished = result.finished;
    out.curve = std::move(result.curve);
  } catch (const Stopped&) {
    return out;
  }
  out.hopeless = out.finished && hopeless(out.curve);
  out.knobs = adapter_.parameters.flat.to(at::kCPU).clone();
  return out;
}

}  // namespace

std::vector<double> StepNumbers::packed() const {
  auto copy = *this;
  std::vector<double> out;
  for (const double* place : places_of(copy)) out.push_back(*place);
  return out;
}

StepNumbers StepNumbers::unpacked(const std::vector<double>& numbers) {
  StepNumbers out;
  const auto places = places_of(out);
  base::check(places.size() == numbers.size(), "a step has its numbers");
  for (size_t i = 0; i < places.size(); ++i) *places[i] = numbers[i];
  return out;
}

SweepResult run_sweep_chain(const SweepParts& parts, const SweepChainOptions& options,
                            const SweepPlace& place) {
  return SweepChain(parts, options, place).run();
}

}  // namespace preimage::grpo
