#include "search.hpp"

#include <algorithm>

#include <ATen/ATen.h>

#include "k_sweep.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/progress.hpp"
#include "tables.hpp"
#include "unit_output.hpp"
#include "unit_runner.hpp"

namespace preimage::dcm {
namespace {

// Pairs whose baselines are measured in one batch.
constexpr int64_t kBaselineBatch = 8;

}  // namespace

DcmSearch::DcmSearch(run::Context& context, std::shared_ptr<const Setup> setup)
    : context_(context), setup_(std::move(setup)), baselines_(setup_->pairs.size()) {
  phases_.push_back({"baselines", 0, static_cast<int64_t>(setup_->pairs.size()), setup_->config.k});
}

std::vector<run::Unit> DcmSearch::ask(int64_t wave) {
  base::check(wave == static_cast<int64_t>(phases_.size()) - 1,
              "waves are asked for one after another");
  const auto& phase = phases_.back();
  std::vector<run::Unit> units;
  if (phase.stage.empty()) return units;
  for (int64_t i = phase.begin; i < phase.end; ++i) {
    units.push_back(run::make_unit("dcm", phase.stage,
                                   {{"pair_index", i},
                                    {"pair", setup_->pairs[static_cast<size_t>(i)].id},
                                    {"k", phase.k},
                                    {"variant", setup_->config.init}}));
  }
  return units;
}

void DcmSearch::evaluate(run::Work& work) {
  const auto& phase = phases_.back();
  if (phase.stage == "baselines") {
    evaluate_baselines(work);
    return;
  }
  const int64_t workers = context_.world().size();
  UnitRunner(*setup_, baselines_, (phase.end - phase.begin + workers - 1) / workers).run(work);
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
  const auto phase = phases_.back();
  for (const auto& told : results) {
    const auto index = told.unit.key.at("pair_index").get<int64_t>();
    const auto& article = setup_->pairs[static_cast<size_t>(index)].article;
    if (phase.stage == "baselines") {
      if (!told.quarantined)
        baselines_[static_cast<size_t>(index)] = baselines_from_json(told.scalars);
    } else if (phase.stage == "single") {
      const auto summary = told.quarantined ? SingleSummary{} : single_summary(told.scalars);
      singles_[index] = {article, summary.conv_q, summary.conv_a};
    } else if (!told.quarantined) {
      pairs_[{phase.stage, phase.k}][index] = summary_from_json(told.scalars);
    }
  }
  phases_.push_back(after(phase));
}

bool DcmSearch::enforced_stop(const GateResult& result) {
  const bool stops = setup_->config.gates.mode == "enforce" && result.verdict == Verdict::fail;
  gates_.push_back({phases_.back().stage, result, stops ? "stopped the run" : "recorded"});
  return stops;
}

// The wave that follows; decided on units by index, when the wave has ended.
DcmSearch::Phase DcmSearch::after(const Phase& phase) {
  const auto& c = setup_->config;
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  const Phase joint{"joint", 0,
                    c.gates.mode == "enforce" ? std::min(pairs, c.gates.g2_pairs) : pairs, c.k};
  if (phase.stage == "baselines") {
    if (c.has_stage("single")) return {"single", 0, pairs, c.k};
    return c.has_stage("joint") ? joint : next_k(0);
  }
  if (phase.stage == "single") {
    std::vector<SingleOutcome> singles;
    for (const auto& [index, outcome] : singles_) singles.push_back(outcome);
    if (enforced_stop(gate_single(singles, c.gates, setup_->seed))) return {};
    return c.has_stage("joint") ? joint : next_k(0);
  }
  if (phase.stage == "joint") return after_joint(phase);
  if (phase.stage == "ksweep") return next_k(phase.k);
  return {};
}

DcmSearch::Phase DcmSearch::after_joint(const Phase& phase) {
  const auto& c = setup_->config;
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  const auto told = outcomes("joint", c.k);
  const auto stage_paraphrase = [&] { return c.has_stage("paraphrase") || paraphrase_due_; };
  if (c.gates.mode == "enforce") {
    if (phase.end == std::min(pairs, c.gates.g2_pairs) &&
        enforced_stop(gate_early(told, c.gates, setup_->seed)))
      return {};
    const bool may_deploy = !c.paraphrases.empty() && !c.has_stage("paraphrase");
    if (phase.end >= std::min(pairs, c.gates.g3_pairs) && !paraphrase_due_) {
      for (const auto& gate :
           {gate_viable(told, c.gates, setup_->seed), gate_conflict(told, c.gates, setup_->seed)}) {
        const bool deploys = may_deploy && gate.verdict == Verdict::fail;
        gates_.push_back({"joint", gate, deploys ? "ran stage paraphrase" : "recorded"});
        paraphrase_due_ |= deploys;
      }
      if (paraphrase_due_) return {"paraphrase", 0, pairs, c.k};
    }
  }
  if (phase.end < pairs) {
    const int64_t next = phase.end < c.gates.g3_pairs ? std::min(pairs, c.gates.g3_pairs) : pairs;
    return {"joint", phase.end, next, c.k};
  }
  if (c.has_stage("ksweep")) return next_k(0);
  return stage_paraphrase() ? Phase{"paraphrase", 0, pairs, c.k} : Phase{};
}

// The next K of the sweep after `k`; the main K was run by stage joint already.
DcmSearch::Phase DcmSearch::next_k(int64_t k) {
  const auto& c = setup_->config;
  const auto pairs = static_cast<int64_t>(setup_->pairs.size());
  const int64_t count = c.k_sweep_pairs > 0 ? c.k_sweep_pairs : pairs;
  if (c.has_stage("ksweep")) {
    for (const int64_t next : c.k_sweep) {
      if (next > k && !(next == c.k && c.has_stage("joint"))) return {"ksweep", 0, count, next};
    }
  }
  return c.has_stage("paraphrase") ? Phase{"paraphrase", 0, pairs, c.k} : Phase{};
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
