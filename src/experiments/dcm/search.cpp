#include "search.hpp"

#include <algorithm>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/progress.hpp"
#include "report/k_sweep.hpp"
#include "report/tables.hpp"
#include "report/unit_output.hpp"
#include "unit_runner.hpp"

namespace preimage::dcm {
namespace {

// Pairs whose baselines are measured in one batch.
constexpr int64_t kBaselineBatch = 8;

}  // namespace

DcmSearch::DcmSearch(run::Context& context, std::shared_ptr<const Setup> setup)
    : context_(context), setup_(std::move(setup)), baselines_(setup_->pairs.size()) {
  waves_.push_back(
      {{"baselines", 0, static_cast<int64_t>(setup_->pairs.size()), setup_->config.k}});
}

std::vector<run::Unit> DcmSearch::ask(int64_t wave) {
  base::check(wave == static_cast<int64_t>(waves_.size()) - 1,
              "waves are asked for one after another");
  std::vector<run::Unit> units;
  for (const auto& part : waves_.back()) {
    for (int64_t i = part.begin; i < part.end; ++i) {
      const auto& pair = setup_->pairs[static_cast<size_t>(i)];
      units.push_back(run::make_unit(
          "dcm", part.stage,
          {{"pair_index", i}, {"pair", pair.id}, {"k", part.k}, {"variant", setup_->config.init}}));
      // The more tokens a vector must hold, the longer it takes and the more starts fail.
      units.back().cost = static_cast<double>(pair.question_ids.size() + pair.answer_ids.size()) /
                          static_cast<double>(part.k);
    }
  }
  return units;
}

void DcmSearch::evaluate(run::Work& work) {
  const auto& wave = waves_.back();
  if (wave.front().stage == "baselines") {
    evaluate_baselines(work);
    return;
  }
  UnitRunner::Share share{.workers = context_.world().size()};
  for (const auto& part : wave) {
    for (int64_t i = part.begin; i < part.end; ++i) {
      const auto& pair = setup_->pairs[static_cast<size_t>(i)];
      share.units += 1;
      // A mode and K vectors before each text.
      share.positions += 2 * (1 + part.k) +
                         static_cast<int64_t>(pair.question_ids.size() + pair.answer_ids.size());
    }
  }
  UnitRunner(*setup_, baselines_, share).run(work);
}

void DcmSearch::evaluate_baselines(run::Work& work) {
  const BaselineInputs inputs{setup_->config,     setup_->tokenizer, setup_->vocabulary,
                              setup_->statistics, *setup_->model,    setup_->seed};
  const int64_t share = std::max<int64_t>(
      1, static_cast<int64_t>(setup_->pairs.size()) / (2 * context_.world().size()));
  for (;;) {
    const auto units = work.take(std::min(kBaselineBatch, share));
    if (units.empty()) return;
    std::vector<const Pair*> pairs;
    for (const auto& unit : units)
      pairs.push_back(&setup_->pairs[unit.key.at("pair_index").get<size_t>()]);
    auto measured = measure_baselines(inputs, pairs);
    for (size_t i = 0; i < units.size(); ++i) {
      store::UnitOutput out;
      out.scalars = to_json(measured[i].means);
      for (const auto& row : measured[i].rows) out.rows[table::baselines].push_back(to_row(row));
      work.commit(units[i], std::move(out));
    }
  }
}

void DcmSearch::tell(const std::vector<run::Told>& results) {
  for (const auto& told : results) tell_unit(told);
  waves_.push_back(wave_after(waves_.back()));
}

void DcmSearch::tell_unit(const run::Told& told) {
  const auto index = told.unit.key.at("pair_index").get<int64_t>();
  const auto& stage = told.unit.stage;
  if (stage == "baselines") {
    if (!told.quarantined)
      baselines_[static_cast<size_t>(index)] = baselines_from_json(told.scalars);
  } else if (stage == "single") {
    const auto summary = told.quarantined ? SingleSummary{} : single_summary(told.scalars);
    singles_[index] = {setup_->pairs[static_cast<size_t>(index)].article, summary.conv_q,
                       summary.conv_a, summary.baseline_q, summary.baseline_a};
  } else if (!told.quarantined) {
    pairs_[{stage, told.unit.key.at("k").get<int64_t>()}][index] = summary_from_json(told.scalars);
  }
}

bool DcmSearch::stops_run(const GateResult& result) const {
  return setup_->config.gates.mode == "enforce" && result.verdict == Verdict::fail;
}

void DcmSearch::record_gate(const std::string& stage, const GateResult& result) {
  gates_.push_back({stage, result, stops_run(result) ? "stopped the run" : "recorded"});
}

GateResult DcmSearch::single_gate() const {
  std::vector<SingleOutcome> singles;
  for (const auto& [index, outcome] : singles_) singles.push_back(outcome);
  return gate_single(singles, setup_->config.gates, setup_->seed);
}

// Decided on units by index, when the wave has ended.
DcmSearch::Wave DcmSearch::wave_after(const Wave& wave) {
  const auto& c = setup_->config;
  if (c.gates.mode == "enforce") return gated_wave_after(wave.back());
  if (wave.front().stage != "baselines") {
    if (c.has_stage("single")) record_gate("single", single_gate());
    return {};
  }
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  Wave all;
  if (c.has_stage("single")) all.push_back({"single", 0, pairs, c.k});
  if (c.has_stage("joint")) all.push_back({"joint", 0, pairs, c.k});
  for (auto& part : sweep_and_paraphrases()) all.push_back(std::move(part));
  return all;
}

DcmSearch::Wave DcmSearch::gated_wave_after(const Part& part) {
  const auto& c = setup_->config;
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  if (part.stage == "baselines" && c.has_stage("single")) return {{"single", 0, pairs, c.k}};
  if (part.stage == "single") {
    const auto gate = single_gate();
    record_gate("single", gate);
    if (stops_run(gate)) return {};
  }
  if (part.stage == "baselines" || part.stage == "single") {
    if (c.has_stage("joint")) return {{"joint", 0, std::min(pairs, c.gates.g2_pairs), c.k}};
    return sweep_and_paraphrases();
  }
  if (part.stage == "joint") return wave_after_joint(part);
  // Paraphrases that a gate asked for: the run ends where G3 failed, and goes on where only G4 did.
  if (part.stage != "paraphrase" || !deployed_ || failed_) return {};
  const auto joint = std::find_if(waves_.rbegin(), waves_.rend(), [](const Wave& wave) {
    return !wave.empty() && wave.back().stage == "joint";
  });
  return rest_after(joint->back().end);
}

DcmSearch::Wave DcmSearch::wave_after_joint(const Part& joint) {
  const auto& c = setup_->config;
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  const auto told = outcomes("joint", c.k);
  if (joint.end == std::min(pairs, c.gates.g2_pairs)) {
    const auto early = gate_early(told, c.gates, setup_->seed);
    record_gate("joint", early);
    if (stops_run(early)) return {};
  }
  if (joint.end >= std::min(pairs, c.gates.g3_pairs) && !gated_viable_) {
    gated_viable_ = true;
    const auto viable = gate_viable(told, c.gates, setup_->seed),
               conflict = gate_conflict(told, c.gates, setup_->seed);
    failed_ = viable.verdict == Verdict::fail;
    deployed_ = !c.paraphrases.empty() && (failed_ || conflict.verdict == Verdict::fail);
    const std::string ran = deployed_ ? "ran stage paraphrase" : "";
    gates_.push_back({"joint", viable,
                      !failed_    ? "recorded"
                      : deployed_ ? ran + " and stopped the run"
                                  : "stopped the run"});
    const bool acted = deployed_ && conflict.verdict == Verdict::fail;
    gates_.push_back({"joint", conflict, acted ? ran : "recorded"});
    if (deployed_) return {{"paraphrase", 0, pairs, c.k}};
    if (failed_) return {};
  }
  return rest_after(joint.end);
}

// What is left when the first `joint_pairs` of stage joint have ended and no gate stops the run.
DcmSearch::Wave DcmSearch::rest_after(int64_t joint_pairs) const {
  const auto& c = setup_->config;
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  if (joint_pairs == pairs) return sweep_and_paraphrases();
  const int64_t next = joint_pairs < c.gates.g3_pairs ? std::min(pairs, c.gates.g3_pairs) : pairs;
  return {{"joint", joint_pairs, next, c.k}};
}

// The K of the sweep but the main one, which stage joint runs, from the smallest; then paraphrases.
DcmSearch::Wave DcmSearch::sweep_and_paraphrases() const {
  const auto& c = setup_->config;
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  Wave wave;
  if (c.has_stage("ksweep")) {
    const int64_t count = c.k_sweep_pairs > 0 ? c.k_sweep_pairs : pairs;
    for (const int64_t k : c.k_sweep) {  // ascending, as the config demands
      if (k != c.k || !c.has_stage("joint")) wave.push_back({"ksweep", 0, count, k});
    }
  }
  if (c.has_stage("paraphrase") && !deployed_) wave.push_back({"paraphrase", 0, pairs, c.k});
  return wave;
}

std::vector<PairSummary> DcmSearch::told_pairs(const std::string& stage, int64_t k) const {
  std::vector<PairSummary> out;
  if (const auto found = pairs_.find({stage, k}); found != pairs_.end()) {
    for (const auto& [index, summary] : found->second) out.push_back(summary);
  }
  return out;
}

std::vector<JointOutcome> DcmSearch::outcomes(const std::string& stage, int64_t k) const {
  std::vector<JointOutcome> out;
  for (const auto& summary : told_pairs(stage, k)) out.push_back(summary.outcome);
  return out;
}

void DcmSearch::add_gates(store::UnitOutput& out) const {
  const auto& c = setup_->config;
  const auto add = [&](const std::string& stage, const GateResult& result,
                       const std::string& taken) {
    out.rows[table::gates].push_back(to_row(GateRow{stage, c.k, c.init, result, taken}));
  };
  for (const auto& gate : gates_) add(gate.stage, gate.result, gate.taken);
  for (const char* stage : {"joint", "paraphrase"}) {
    const auto told = outcomes(stage, c.k);
    if (told.empty()) continue;
    for (const auto& result : joint_gates(told, c.gates, setup_->seed)) {
      if (result.gate == "spot" && !c.has_stage("spot")) continue;
      const bool acted = std::any_of(gates_.begin(), gates_.end(), [&](const Gate& g) {
        return g.stage == stage && g.result.gate == result.gate;
      });
      if (!acted) add(stage, result, "recorded");
    }
  }
}

void DcmSearch::add_sweep(store::UnitOutput& out) const {
  const auto& c = setup_->config;
  std::vector<SweepRow> rows;
  std::map<int64_t, double> exact;
  for (const auto& [key, told] : pairs_) {
    auto summaries = told_pairs(key.first, key.second);
    // In the sweep the main K stands with the pairs that the other K had.
    const bool main_k = key.first == "joint" && c.has_stage("ksweep");
    if (main_k && c.k_sweep_pairs > 0 && static_cast<int64_t>(summaries.size()) > c.k_sweep_pairs) {
      summaries.resize(static_cast<size_t>(c.k_sweep_pairs));
    }
    rows.push_back(sweep_row(main_k ? "ksweep" : key.first, key.second, c.init, summaries));
    if (key.first == "ksweep" || main_k) exact[key.second] = rows.back().exact.estimate;
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::tie(a.stage, a.k) < std::tie(b.stage, b.k);
  });
  const int64_t viable = minimum_viable_k(exact, c.k_sweep_reference, c.k_sweep_margin);
  for (auto& row : rows) {
    row.minimum_viable = row.stage == "ksweep" && row.k == viable;
    out.rows[table::sweep].push_back(to_row(row));
  }
}

store::UnitOutput DcmSearch::finish() {
  store::UnitOutput out;
  add_gates(out);
  add_sweep(out);
  for (int mode : {kQuestion, kAnswer})
    out.tensors[tensor::modes].push_back(tensor_of(setup_->modes[mode]));
  const auto joint = told_pairs("joint", setup_->config.k);
  const auto exact =
      std::count_if(joint.begin(), joint.end(), [](const auto& p) { return p.exact; });
  const auto conv =
      std::count_if(joint.begin(), joint.end(), [](const auto& p) { return p.outcome.conv; });
  const auto tight =
      std::count_if(joint.begin(), joint.end(), [](const auto& p) { return p.tight; });
  context_.log().info(base::str("joint, K ", setup_->config.k, ": exact ", exact, " of ",
                                joint.size(), ", tight ", tight, ", conv ", conv));
  return out;
}

store::Schemas DcmSearch::schemas() const {
  return dcm_schemas();
}

}  // namespace preimage::dcm
