#include "sweep/search.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/recorder.hpp"
#include "preimage/run/watchdog.hpp"
#include "sweep/rows.hpp"

namespace preimage::grpo {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMatchedArms = 2, kFirstSeeds = 2;
constexpr size_t kLastSteps = 5;

// Means over the last steps; NaN does not count.
double last_mean(const std::vector<StepNumbers>& steps, double RolloutMeans::*rate) {
  double sum = 0, count = 0;
  const size_t first = steps.size() > kLastSteps ? steps.size() - kLastSteps : 0;
  for (size_t i = first; i < steps.size(); ++i) {
    const double value = steps[i].rollout.*rate;
    if (std::isnan(value)) continue;
    sum += value, ++count;
  }
  return count > 0 ? sum / count : std::numeric_limits<double>::quiet_NaN();
}

void add_evaluations(const SweepEvaluationRow& row, const StepNumbers& n, int64_t step,
                     store::UnitOutput& out) {
  const auto add = [&](int64_t at, bool hint, const RolloutMeans& means) {
    if (std::isnan(means.reward)) return;
    auto one = row;
    one.step = at, one.hint = hint, one.means = means;
    out.rows[kSweepEvaluations].push_back(store::to_row(one));
  };
  add(step, true, n.hinted_before), add(step, false, n.plain_before);
  add(step + 1, true, n.hinted_after), add(step + 1, false, n.plain_after);
}

store::UnitOutput output_of(const std::string& arm, int64_t seed, const SweepResult& result) {
  store::UnitOutput out;
  std::vector<StepNumbers> steps;
  for (const auto& point : result.curve) {
    steps.push_back(StepNumbers::unpacked(point.numbers));
    out.rows[kSweepSteps].push_back(store::to_row(SweepStepRow{arm, seed, point, steps.back()}));
    add_evaluations({.arm = arm, .seed = seed}, steps.back(), point.step, out);
  }
  const RunEnd end{last_mean(steps, &RolloutMeans::strict_hack),
                   last_mean(steps, &RolloutMeans::hacked),
                   last_mean(steps, &RolloutMeans::gt_pass),
                   last_mean(steps, &RolloutMeans::hack_of_attempts), result.hopeless};
  out.rows[kSweepRuns].push_back(
      store::to_row(SweepRunRow{arm, seed, std::ssize(result.curve), end}));
  out.scalars = {{"strict_hack", end.strict_hack},
                 {"hacked", end.hacked},
                 {"gt_pass", end.gt_pass},
                 {"hopeless", end.hopeless}};
  return out;
}

}  // namespace

std::vector<run::Unit> SweepSearch::units_of(size_t first_arm, size_t end_arm, size_t first_seed,
                                             size_t end_seed) const {
  std::vector<run::Unit> units;
  end_arm = std::min(end_arm, config_.arms.size());
  end_seed = std::min(end_seed, config_.seeds.size());
  for (size_t s = first_seed; s < end_seed; ++s) {
    for (size_t a = first_arm; a < end_arm; ++a) {
      units.push_back(
          run::make_unit("grpo", "sweep", {{"arm", config_.arms[a]}, {"seed", config_.seeds[s]}}));
    }
  }
  return units;
}

bool SweepSearch::ended_early(int64_t wave) const {
  if (config_.arms.size() < kMatchedArms) return false;
  const auto differences = [&](size_t seeds) {
    std::vector<double> out;
    const auto all = std::span(config_.seeds).first(std::min(seeds, config_.seeds.size()));
    for (const auto& one : matched_differences(ends_, config_.arms[1], config_.arms[0], all))
      if (one) out.push_back(*one);
    return out;
  };
  if (config_.futility && wave >= 1 && futile(differences(kFirstSeeds))) return true;
  return config_.cost_ceiling && wave >= 2 && !separated(differences(config_.seeds.size()));
}

std::vector<run::Unit> SweepSearch::ask(int64_t wave) {
  const size_t arms = config_.arms.size(), seeds = config_.seeds.size();
  if (!config_.futility && !config_.cost_ceiling)
    return wave == 0 ? units_of(0, arms, 0, seeds) : std::vector<run::Unit>();
  if (ended_early(wave)) return {};
  std::vector<run::Unit> units;
  // A wave without units would end the search: with two seeds or two arms one is passed over.
  if (wave == 0) return units_of(0, kMatchedArms, 0, kFirstSeeds);
  if (wave == 1) units = units_of(0, kMatchedArms, kFirstSeeds, seeds);
  if (wave == 2 || (wave == 1 && units.empty())) {
    if (ended_early(2)) return {};
    units = units_of(kMatchedArms, arms, 0, seeds);
  }
  const auto told = [&](const run::Unit& unit) {
    return ends_.contains({unit.key["arm"].get<std::string>(), unit.key["seed"].get<int64_t>()});
  };
  if (std::all_of(units.begin(), units.end(), told)) return {};
  return units;
}

SweepResult SweepSearch::run_chain(const run::Unit& unit, const cluster::Communicator& ranks,
                                   const std::function<bool()>& stopping) {
  if (!machine_) machine_ = std::make_unique<SweepMachine>(make_machine_());
  const auto arm = unit.key["arm"].get<std::string>();
  const auto seed = unit.key["seed"].get<int64_t>();
  const auto folder = context_.folder() / "runs";
  std::error_code ignored;  // the state that cannot be written says what is wrong
  fs::create_directories(folder, ignored);
  const auto report = [&](const lm::CurvePoint& point) {
    if (!ranks.root()) return;
    const auto n = StepNumbers::unpacked(point.numbers);
    context_.log().info(base::str("arm ", arm, " seed ", seed, " step ", point.step + 1, "/",
                                  config_.steps, ": reward ", n.rollout.reward, ", hacked ",
                                  n.rollout.hacked, ", passed ", n.rollout.gt_pass, ", cos_in ",
                                  n.cos_in, ", kl ", n.kl));
  };
  auto& m = *machine_;
  return run_sweep_chain({*m.base, m.adapter, m.directions, *m.source, m.generator, m.stop_ids},
                         {parse_sweep_arm(arm), seed, config_},
                         {.worker = ranks,
                          .state = folder / base::str(arm, "-", seed, ".safetensors"),
                          .budget = &context_.budget(),
                          .report = report,
                          .stopping = [&] {
                            if (auto* watchdog = context_.watchdog()) watchdog->tick();
                            return stopping();
                          }});
}

void SweepSearch::prepare(int64_t wave) {
  const auto& world = context_.world();
  if (world.size() == 1 || !context_.sweep().empty()) return;
  auto open = ask(wave);
  std::erase_if(open, [&](const run::Unit& unit) {
    return context_.recorder().find(unit.id) || context_.recorder().quarantined(unit.id);
  });
  const auto runs = static_cast<int>(open.size());
  if (runs == 0 || world.size() <= runs) return;
  const int mine = world.rank() % runs;
  if (world.root())
    context_.log().info(base::str(runs, " runs for ", world.size(), " ranks: ranks share them"));
  const auto ranks = world.split(mine);
  std::string error, reason;
  auto code = base::ExitCode::bug;
  try {
    const auto result = run_chain(open[static_cast<size_t>(mine)], ranks,
                                  [this] { return context_.budget().must_stop(); });
    if (!result.finished) reason = context_.budget().reason();
  } catch (const cluster::CollectiveError& failure) {  // of this run's ranks alone
    error = failure.what(), code = failure.code();
  }
  if (world.any(!error.empty())) {
    const auto first = world.all_gather(base::Json({static_cast<int>(code), error}).dump());
    for (const auto& text : first) {
      const auto one = base::Json::parse(text);
      if (const auto what = one[1].get<std::string>(); !what.empty())
        throw cluster::CollectiveError(static_cast<base::ExitCode>(one[0].get<int>()), what);
    }
  }
  for (const auto& text : world.all_gather(reason)) {
    if (!text.empty())
      throw cluster::CollectiveError(
          base::ExitCode::stopped,
          base::str("stopped (", text, ") between two steps of runs; --resume goes on"));
  }
}

bool SweepSearch::compute(const run::Unit& unit, run::Work& work) {
  const auto arm = unit.key["arm"].get<std::string>();
  const auto seed = unit.key["seed"].get<int64_t>();
  SweepResult result;
  try {
    result = run_chain(unit, context_.worker(), [&] { return work.stopping(); });
  } catch (const cluster::CollectiveError& failure) {  // the other ranks know nothing of it
    throw base::Error(failure.code(), failure.what());
  }
  if (!result.finished) return false;
  auto output = output_of(arm, seed, result);
  const auto* knobs = result.knobs.const_data_ptr<float>();
  output.tensors[kSweepKnobs].push_back(
      {.shape = {result.knobs.numel()},
       .values = std::vector<float>(knobs, knobs + result.knobs.numel())});
  work.commit(unit, std::move(output));
  return true;
}

void SweepSearch::evaluate(run::Work& work) {
  for (;;) {
    const auto units = work.take(1);
    if (units.empty() || !compute(units[0], work)) return;
  }
}

void SweepSearch::tell(const std::vector<run::Told>& results) {
  const auto number = [](const base::Json& json) {
    return json.is_number() ? json.get<double>() : std::numeric_limits<double>::quiet_NaN();
  };
  for (const auto& told : results) {
    if (told.quarantined) continue;
    auto& end =
        ends_[{told.unit.key["arm"].get<std::string>(), told.unit.key["seed"].get<int64_t>()}];
    end.strict_hack = number(told.scalars["strict_hack"]);
    end.hacked = number(told.scalars["hacked"]);
    end.gt_pass = number(told.scalars["gt_pass"]);
    end.hopeless = told.scalars["hopeless"].get<bool>();
  }
}

store::UnitOutput SweepSearch::finish() {
  store::UnitOutput out;
  for (const auto& verdict : arm_verdicts(ends_, config_.arms, config_.seeds))
    out.rows[kSweepVerdicts].push_back(store::to_row(SweepVerdictRow{verdict}));
  for (const auto& end : early_ends(ends_, config_))
    out.rows[kSweepDecisions].push_back(store::to_row(SweepDecisionRow{end}));
  return out;
}

store::Schemas SweepSearch::schemas() const {
  store::Schemas schemas;
  schemas.tables.push_back(
      {kSweepSteps, "one row for each update of a run", store::schema_columns<SweepStepRow>()});
  schemas.tables.push_back({kSweepEvaluations, "test problems at a step of a run",
                            store::schema_columns<SweepEvaluationRow>()});
  schemas.tables.push_back(
      {kSweepRuns, "one row for each arm and seed", store::schema_columns<SweepRunRow>()});
  schemas.tables.push_back({kSweepVerdicts, "each arm against the first, over matched seeds",
                            store::schema_columns<SweepVerdictRow>()});
  schemas.tables.push_back({kSweepDecisions, "early ends: what the rules say of the runs",
                            store::schema_columns<SweepDecisionRow>()});
  schemas.tensors.push_back({.name = kSweepKnobs,
                             .description = "the adapter's parameters after the last update, runs "
                                            "in the order of grpo/sweep_runs",
                             .axes = {"run", "knob"}});
  return schemas;
}

}  // namespace preimage::grpo
