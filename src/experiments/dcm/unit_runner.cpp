#include "unit_runner.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/Parallel.h>

#include "preimage/base/error.hpp"
#include "preimage/nn/device_memory.hpp"
#include "report/unit_output.hpp"

namespace preimage::dcm {
namespace {

OptimiserOptions optimiser_options(const DcmConfig& c) {
  return {.schedule = c.schedule,
          .adam = {.beta1 = c.adam.beta1,
                   .beta2 = c.adam.beta2,
                   .epsilon = c.adam.epsilon,
                   .clip = c.clip},
          .projected = c.objective == "projected",
          .manifold_lambda = c.manifold_lambda};
}

// Positions at which a product runs at its full speed on one CPU thread. More in a batch gains
// nothing there, and makes the longest unit of a wave wait for the others.
constexpr int64_t kFullThread = 24;

int64_t full_batch(const Setup& setup) {
  const int64_t most = setup.config.batch_tokens;
  if (setup.model->device().is_cpu()) return std::min(most, kFullThread * at::get_num_threads());
  constexpr double kShare =
      0.7;  // of free memory; the rest is for logits and for what comes and goes
  const double room = kShare * nn::free_bytes(setup.model->device()) /
                      bytes_per_position(setup.model->config(), setup.model->dtype());
  return std::clamp(static_cast<int64_t>(room), int64_t{1}, most);
}

// The original target and, in stage paraphrase, its paraphrases: w0 on the original, the rest
// shared.
Side make_side(int mode, const std::vector<int64_t>& ids,
               const std::vector<std::vector<int64_t>>& paraphrases, double w0) {
  Side side{mode, {{ids, paraphrases.empty() ? 1.0 : w0}}};
  for (const auto& other : paraphrases)
    side.targets.push_back({other, (1 - w0) / static_cast<double>(paraphrases.size())});
  return side;
}

std::vector<Task> make_tasks(const std::string& stage, const Pair& pair, double w0) {
  const bool paraphrase = stage == "paraphrase";
  const auto question = make_side(
      kQuestion, pair.question_ids,
      paraphrase ? pair.paraphrases.questions : decltype(pair.paraphrases.questions){}, w0);
  const auto answer =
      make_side(kAnswer, pair.answer_ids,
                paraphrase ? pair.paraphrases.answers : decltype(pair.paraphrases.answers){}, w0);
  std::vector<Task> tasks(stage == "single" ? 2 : 1);
  if (stage == "single") {
    tasks[0].sides = {question}, tasks[1].sides = {answer};
  } else {
    tasks[0].sides = {question, answer};
  }
  return tasks;
}

// Notes the first step of each criterion, and says whether the configured one ends the restart.
bool note_first_steps(const Evaluation& at, const UnitInFlight& unit, Task& task,
                      const DcmConfig& config, int64_t restart) {
  auto& first = task.restarts[static_cast<size_t>(restart)].first;
  const bool conv = meets_conv(at, unit, task, config.convergence);
  bool tight = true, exact = true;
  for (const auto& side : at.sides)
    tight &= side.max_nll < config.convergence.tight_nll, exact &= side.greedy;
  const auto note = [&](bool holds, int64_t& step) {
    if (holds && step < 0) step = at.step;
  };
  note(conv, first.conv), note(tight, first.tight), note(exact, first.exact);
  return (config.stop == "conv" && conv) || (config.stop == "tight" && tight);
}

void choose(Task& task) {
  for (size_t r = 0; r < task.restarts.size(); ++r) {
    const auto& restart = task.restarts[r];
    if (!restart.ended) continue;
    const bool reproduced = reproduces(restart.trajectory);
    if (reproduced && task.needed < 0) task.needed = static_cast<int64_t>(r) + 1;
    const auto better = [&] {
      if (task.chosen < 0) return true;
      const auto& best = task.restarts[static_cast<size_t>(task.chosen)].trajectory;
      if (reproduced != reproduces(best)) return reproduced;
      const double ours = restart.trajectory.at_best.total(), theirs = best.at_best.total();
      return ours < theirs ||
             (std::isnan(theirs) &&
              !std::isnan(ours));  // one that diverged at its start is beaten by any
    };
    if (better()) task.chosen = static_cast<int64_t>(r);
  }
}

}  // namespace

bool meets_conv(const Evaluation& at, const UnitInFlight& unit, const Task& task,
                const ConvergenceOptions& options) {
  for (size_t s = 0; s < at.sides.size(); ++s) {
    const bool question = task.sides[s].mode == kQuestion;
    if (!meets_rule(at.sides[s].loss, question ? unit.random.q : unit.random.a,
                    question ? unit.baselines.full_q : unit.baselines.full_a, options))
      return false;
  }
  return true;
}

bool reproduces(const Trajectory& trajectory) {
  return std::all_of(trajectory.at_best.sides.begin(), trajectory.at_best.sides.end(),
                     [](const auto& side) { return side.greedy; });
}

bool UnitInFlight::done() const {
  return std::all_of(tasks.begin(), tasks.end(), [](const Task& task) { return task.done; });
}

int64_t units_at_once(int64_t units, int64_t workers, int64_t positions, int64_t full_batch) {
  const auto share = [](int64_t n, int64_t among) { return (n + among - 1) / among; };
  const int64_t rounds = std::max<int64_t>(1, share(positions, workers * full_batch));
  return std::max<int64_t>(1, share(units, workers * rounds));
}

UnitRunner::UnitRunner(const Setup& setup, const std::vector<Baselines>& baselines,
                       const Share& share)
    : setup_(setup),
      baselines_(baselines),
      full_batch_(full_batch(setup)),
      most_units_(static_cast<size_t>(
          units_at_once(share.units, share.workers, share.positions, full_batch_))),
      optimiser_(setup.model, setup.modes, optimiser_options(setup.config)) {}

UnitRunner::~UnitRunner() = default;

void UnitRunner::run(run::Work& work) {
  for (;;) {
    take(work);
    if (optimiser_.empty() || work.stopping()) return;
    for (auto& trajectory : optimiser_.run(setup_.config.compact_every))
      finish_restart(std::move(trajectory));
    commit_done(work);
  }
}

bool UnitRunner::room() const {
  return optimiser_.tokens() < full_batch_;
}

void UnitRunner::take(run::Work& work) {
  for (auto& unit : units_) {
    for (size_t task = 0; task < unit.tasks.size(); ++task) start_restarts(unit, task);
  }
  while (units_.size() < most_units_ && room()) {
    auto units = work.take(1);
    if (units.empty()) return;
    auto& unit = units_.emplace_back();
    unit.unit = std::move(units[0]);
    unit.pair = &setup_.pairs[unit.unit.key.at("pair_index").get<size_t>()];
    unit.k = unit.unit.key.at("k").get<int64_t>();
    unit.baselines = baselines_[static_cast<size_t>(unit.pair->index)];
    if (const auto at_k = unit.baselines.random.find(unit.k); at_k != unit.baselines.random.end())
      unit.random = at_k->second;  // unknown (NaN) where the unit of baselines is in quarantine
    unit.tasks = make_tasks(unit.unit.stage, *unit.pair, setup_.config.paraphrase_weight);
    for (size_t task = 0; task < unit.tasks.size(); ++task) {
      unit.tasks[task].limit = setup_.config.restarts;
      unit.tasks[task].restarts.resize(static_cast<size_t>(setup_.config.restarts));
      start_restarts(unit, task);
    }
  }
}

// The first restart alone, then, if it failed, as many of the others as the batch has room for.
void UnitRunner::start_restarts(UnitInFlight& unit, size_t task) {
  auto& t = unit.tasks[task];
  const bool all = setup_.config.restart_policy == "all";
  if (t.started == 0) add_restart(unit, task, t.started++);
  if (!all && !t.restarts[0].ended) return;
  while (t.started < t.limit && (all || room())) add_restart(unit, task, t.started++);
}

void UnitRunner::add_restart(UnitInFlight& unit, size_t task, int64_t restart) {
  const auto& c = setup_.config;
  SoftPromptProblem problem;
  problem.tag = static_cast<int64_t>(tickets_.size());
  problem.initial = start_vectors({c.init, c.init_sigma, setup_.seed}, *unit.pair, unit.k, restart,
                                  setup_.statistics, setup_.vocabulary);
  problem.sides = unit.tasks[task].sides;
  problem.stop = [&unit, task, restart, &c](const Evaluation& at) {
    return note_first_steps(at, unit, unit.tasks[task], c, restart);
  };
  unit.tasks[task].restarts[static_cast<size_t>(restart)].tag = problem.tag;
  tickets_.push_back({&unit, task, restart});
  optimiser_.add(std::move(problem));
}

void UnitRunner::finish_restart(Trajectory trajectory) {
  const auto [unit, index, restart] = tickets_[static_cast<size_t>(trajectory.tag)];
  auto& task = unit->tasks[index];
  if (restart >= task.limit) return;  // it ended together with an earlier one that did it
  auto& slot = task.restarts[static_cast<size_t>(restart)];
  slot.trajectory = std::move(trajectory);
  slot.ended = true;
  if (setup_.config.restart_policy == "failures" && reproduces(slot.trajectory))
    drop_later_restarts(task, restart);
  const auto ended = std::count_if(task.restarts.begin(), task.restarts.end(),
                                   [](const auto& r) { return r.ended; });
  if (ended == task.limit) {
    choose(task);
    task.done = true;
  } else if (ended == task.started) {
    add_restart(*unit, index, task.started++);  // one must go on, even where there is no room
  }
}

void UnitRunner::drop_later_restarts(Task& task, int64_t reproduced) {
  for (int64_t r = reproduced + 1; r < task.started; ++r) {
    auto& later = task.restarts[static_cast<size_t>(r)];
    if (!later.ended) optimiser_.drop(later.tag);
    later = {};
  }
  task.limit = reproduced + 1;
  task.started = std::min(task.started, task.limit);
}

void UnitRunner::commit_done(run::Work& work) {
  std::vector<const UnitInFlight*> done;
  for (const auto& unit : units_) {
    if (unit.done()) done.push_back(&unit);
  }
  if (done.empty()) return;
  auto outputs = unit_outputs(setup_, done);  // decodes all of them in one batch
  for (size_t i = 0; i < done.size(); ++i) work.commit(done[i]->unit, std::move(outputs[i]));
  units_.remove_if([](const UnitInFlight& unit) { return unit.done(); });
}

}  // namespace preimage::dcm
