#include "evidence.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include "measure/nulls.hpp"
#include "probe/arm.hpp"

namespace preimage::grpo {
namespace {

// alignments[draw][step], as they were drawn.
NullDraws draws_of(const std::vector<NullRow>& rows, const std::string& arm,
                   const std::string& pass) {
  std::map<int64_t, std::vector<Alignment>> draws;
  for (const auto& row : rows) {
    if (row.arm != arm || row.pass != pass || row.kind != "random") continue;
    Alignment a;
    a.cos_in = row.cos_in, a.cos_sgn = row.cos_sgn;
    a.cos_in_global = row.cos_in_global, a.cos_sgn_global = row.cos_sgn_global;
    a.frac_fired = row.frac_fired;
    draws[row.draw].push_back(a);
  }
  NullDraws out;
  for (auto& [draw, steps] : draws) out.push_back(std::move(steps));
  return out;
}

}  // namespace

ProbeEvidence gather(const ProbeTables& tables, const std::string& pass, const std::string& vanilla,
                     const std::string& projected) {
  ProbeEvidence e;
  const auto draws = draws_of(*tables.nulls, vanilla, pass);
  const auto null = summarise(draws, &Alignment::cos_in);
  e.null_mean = null.mean, e.null_sd = null.deviation;
  e.signed_null_sd = summarise(draws, &Alignment::cos_sgn).deviation;
  size_t k = 0;
  for (const auto& row : *tables.steps) {
    if (row.pass != pass) continue;
    if (row.arm == vanilla) {
      e.reward_range.push_back(row.reward_range);
      if (!std::isnan(row.base_reward_max)) e.base_reward_max.push_back(row.base_reward_max);
      if (!row.skipped) {
        e.cos_in.push_back(row.cos_in), e.cos_sgn.push_back(row.cos_sgn);
        e.null_step_sd.push_back(k < null.step_deviation.size() ? null.step_deviation[k] : 0);
      }
      ++k;
    }
    if (row.arm == projected && !row.skipped) {
      e.projected_in.push_back(row.cos_in), e.projected_out.push_back(row.cos_out);
      e.projected_fired.push_back(row.frac_fired), e.projected_leak.push_back(row.leak);
      e.over_projected |= row.over_projected;
    }
  }
  for (const auto& row : *tables.comparisons) {
    if (row.arm != vanilla || row.pass != pass || row.measure != "cos_nll") continue;
    if (row.comparison == "teacher, base") e.auc_low = row.auc_low, e.auc_high = row.auc_high;
    if (row.comparison == "teacher: hacked, not") {
      e.both_buckets = row.n_first > 0 && row.n_second > 0;
      e.hacked_effect = row.difference;
    }
  }
  return e;
}

std::vector<DecisionRow> decision_rows(const ProbeTables& tables) {
  std::vector<std::pair<std::string, std::string>> chains;  // pass, arm
  for (const auto& row : *tables.steps)
    if (std::pair chain{row.pass, row.arm}; std::ranges::find(chains, chain) == chains.end())
      chains.push_back(chain);
  std::vector<DecisionRow> out;
  for (const auto& [pass, name] : chains) {
    const auto arm = arm_named(name);
    if (!arm.projects || arm.projection.gate != Gate::one_sided) continue;
    const std::string beside = arm.basis == "svd" ? "vanilla" : "vanilla_lora";
    const bool there = std::ranges::find(chains, std::pair<std::string, std::string>{
                                                     pass, beside}) != chains.end();
    for (const auto& d : decide(gather(tables, pass, there ? beside : name, name)))
      out.push_back({name, pass, d.id, d.holds, d.verdict, d.value, d.threshold, d.detail});
  }
  return out;
}

}  // namespace preimage::grpo
