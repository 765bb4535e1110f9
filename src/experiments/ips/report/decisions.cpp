#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "preimage/base/statistics.hpp"
#include "preimage/base/str.hpp"
#include "report/results.hpp"

namespace preimage::ips {
namespace {

using base::str;

// What an interval says of a threshold.
std::string verdict_of(const base::Interval& value, double threshold) {
  if (value.low > threshold) return "holds";
  if (value.high < threshold) return "fails";
  return "undecided";
}

DecisionRow manual_decision(const ResultsInput& in) {
  const auto& decide = in.setup.config.decide;
  std::set<int64_t> tried, accepted;
  for (size_t i = 0; i < in.manual.size(); ++i) tried.insert(in.setup.hand[i].target);
  for (size_t i = 0; i < in.found.size(); ++i) {
    if (in.found[i].method == "manual" && in.repeats[i].equal())
      accepted.insert(in.found[i].target);
  }
  DecisionRow row{"H1", "targets with an accepted prompt by hand"};
  row.value = base::wilson(std::ssize(accepted), std::ssize(tried));
  row.count = std::ssize(tried);
  row.threshold = decide.manual_share;
  row.verdict = row.count < decide.manual_targets
                    ? str("fewer than ", decide.manual_targets, " targets")
                    : verdict_of(row.value, row.threshold);
  return row;
}

// One method against another: differences of paired searches (same target, same seed), with
// targets resampled whole.
DecisionRow paired_decision(const ResultsInput& in, const std::string& first,
                            const std::string& second, bool success) {
  std::map<std::pair<int64_t, int64_t>, std::pair<const SearchRecord*, const SearchRecord*>> pairs;
  for (const auto& search : in.searches) {
    const auto& id = search->identity();
    if (id.method == first) pairs[{id.target, id.seed}].first = search.get();
    if (id.method == second) pairs[{id.target, id.seed}].second = search.get();
  }
  base::Clustered data;
  int64_t only_first = 0, only_second = 0;
  for (const auto& [key, pair] : pairs) {
    const auto a = summary_row(in, *pair.first), b = summary_row(in, *pair.second);
    only_first += !a.censored && b.censored ? 1 : 0;
    only_second += a.censored && !b.censored ? 1 : 0;
    data.values.push_back(success ? (a.censored ? 0.0 : 1.0) - (b.censored ? 0.0 : 1.0)
                                  : a.best_fitness - b.best_fitness);
    data.clusters.push_back(a.target_id);
  }
  DecisionRow row{"H2", str(first, " less ", second, ", ",
                            success ? "share with an accepted prompt" : "best fitness")};
  row.value = base::cluster_bootstrap(data, base::RandomStream(in.setup.seed, row.statement, "H2"),
                                      {.draws = in.setup.config.bootstrap_draws});
  row.count = std::ssize(pairs);
  if (success) row.p = base::mcnemar_exact(only_first, only_second);
  row.threshold = 0;
  row.verdict = in.setup.config.search.seeds < in.setup.config.decide.paired_seeds
                    ? str("fewer than ", in.setup.config.decide.paired_seeds, " seeds")
                    : verdict_of(row.value, 0);
  return row;
}

// The simplest control first, then the searches against random search.
std::vector<DecisionRow> search_decisions(const ResultsInput& in) {
  const auto& methods = in.setup.config.search.methods;
  const auto has = [&](const char* name) {
    return std::find(methods.begin(), methods.end(), name) != methods.end();
  };
  std::vector<DecisionRow> out;
  for (const char* control : {"propose", "random"}) {
    if (!has(control)) continue;
    for (const auto& method : methods) {
      if (method == control || (std::string(control) == "random" && method == "propose")) continue;
      for (const bool success : {true, false})
        out.push_back(paired_decision(in, method, control, success));
    }
  }
  return out;
}

DecisionRow diversity_decision(const ResultsInput& in) {
  const auto& decide = in.setup.config.decide;
  int64_t enough = 0, diverse = 0;
  for (const auto& row : diversity_rows(in)) {
    if (row.method != "all" || row.prompts < in.setup.config.diversity.least) continue;
    ++enough;
    diverse += row.diverse ? 1 : 0;
  }
  DecisionRow row{"H3", "targets with two kinds of accepted prompts"};
  row.value = base::wilson(diverse, enough);
  row.count = enough;
  row.threshold = decide.diverse_share;
  row.verdict = enough == 0
                    ? str("no target has ", in.setup.config.diversity.least, " accepted prompts")
                    : verdict_of(row.value, row.threshold);
  return row;
}

// Of models that are trained after the run.
DecisionRow data_set_decision() {
  DecisionRow row{"H4", "the data set of accepted prompts against others"};
  row.value = {kUndefined, kUndefined, kUndefined};
  row.verdict = "by scripts/ips/compare_datasets.py";
  return row;
}

DecisionRow share_decision(const std::string& statement, int64_t good, int64_t count,
                           const std::string& verdict) {
  DecisionRow row{"check", statement};
  row.value = base::wilson(good, count);
  row.count = count;
  row.verdict = count == 0 ? "none" : verdict;
  return row;
}

void add_checks(const ResultsInput& in, std::vector<DecisionRow>& out) {
  int64_t equal = 0, wrong = 0, accepted_wrong = 0, tests = 0, failed = 0, controls = 0, good = 0;
  for (size_t i = 0; i < in.found.size(); ++i) {
    equal += in.repeats[i].equal() && in.repeats[i].hashes.front() == in.found[i].terms->hash;
  }
  for (const auto& row : negative_rows(in)) {
    if (row.test == "positive") {
      ++controls, good += row.accepted;
    } else if (row.test == "wrong_target") {
      ++wrong, accepted_wrong += row.accepted;
    } else {
      ++tests, failed += !row.as_expected;
    }
  }
  const int64_t found = std::ssize(in.found);
  out.push_back(share_decision("R5: accepted prompts whose repeats give the same ids", equal, found,
                               equal == found ? "holds" : "fails"));
  auto false_accepts = share_decision("prompts accepted for another target", accepted_wrong, wrong,
                                      accepted_wrong == 0 ? "holds" : "fails");
  const int64_t pairs = in.setup.config.decide.false_pairs;
  if (wrong > 0 && wrong < pairs && accepted_wrong == 0)
    false_accepts.verdict = str("fewer than ", pairs, " pairs");
  out.push_back(false_accepts);
  out.push_back(share_decision("negative tests that are accepted or fail by no rule of theirs",
                               failed, tests, failed == 0 ? "holds" : "fails"));
  out.push_back(share_decision("positive controls that are accepted", good, controls,
                               good == controls ? "holds" : "fails"));
}

}  // namespace

std::vector<DecisionRow> decision_rows(const ResultsInput& in) {
  std::vector<DecisionRow> out;
  if (!in.manual.empty()) out.push_back(manual_decision(in));
  for (auto& row : search_decisions(in)) out.push_back(std::move(row));
  out.push_back(diversity_decision(in));
  out.push_back(data_set_decision());
  add_checks(in, out);
  return out;
}

}  // namespace preimage::ips
