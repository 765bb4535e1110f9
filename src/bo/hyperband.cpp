#include "preimage/bo/hyperband.hpp"

#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::bo {
namespace {

int64_t power(int64_t base, int64_t exponent) {
  int64_t out = 1;
  while (exponent-- > 0) out *= base;
  return out;
}

// The largest s with min_items eta^s <= items, by integers: floor(log) would err at exact powers.
int64_t largest_bracket(int64_t items, const HyperbandOptions& options) {
  int64_t s = 0;
  for (int64_t level = options.min_items; level <= items / options.eta; level *= options.eta) ++s;
  return s;
}

int64_t stage_items(int64_t items, int64_t s, int64_t i, const HyperbandOptions& options) {
  if (options.levels == "exact") return items / power(options.eta, s - i);
  if (options.levels == "truncated") return items / power(options.eta, s) * power(options.eta, i);
  base::check(options.levels == "ascending", "levels are exact, truncated or ascending");
  return options.min_items * power(options.eta, i);
}

// a less than b in error, then in candidate.
bool better(const ErrorCount& a, const ErrorCount& b) {
  const int64_t left = a.wrong * b.items, right = b.wrong * a.items;
  return left != right ? left < right : a.candidate < b.candidate;
}

}  // namespace

void HyperbandOptions::fields(base::Fields& f) {
  f.add("bmin", min_items, {.help = "smallest fidelity", .unit = "items", .min = 1, .max = 1e9});
  f.add("eta", eta, {.help = "each stage keeps one candidate in eta", .min = 2, .max = 1000});
  f.add("levels", levels,
        {.help = "fidelities of a bracket: exact (the paper), truncated (the original program) or "
                 "ascending (the plan's bmin eta^i)",
         .choices = {"exact", "truncated", "ascending"}});
  f.add("proposals", proposals,
        {.help = "what the model that proposes is fitted to: the highest level with enough "
                 "observations (paper), those of at least min_fidelity_pct of the items (min_pct), "
                 "each candidate's latest (all_fidelities), or no model (random)",
         .choices = {"paper", "min_pct", "all_fidelities", "random"}});
  f.add("min_fidelity_pct", min_fidelity_pct,
        {.help = "min_pct: share of the items that an observation needs", .min = 0, .max = 1});
  f.add("min_observations", min_observations,
        {.help = "observations before a model is fitted", .min = 1, .max = 1e6});
  f.add("random_interleaving_prob", random_interleaving,
        {.help = "probability of a random proposal", .min = 0, .max = 1});
}

base::ConfigErrors HyperbandOptions::check(int64_t items, const std::string& prefix) const {
  if (min_items <= items) return {};
  return {base::str("\"", prefix, "bmin\": found ", min_items, ", expected at most the ", items,
                    " items that there are")};
}

std::vector<HyperbandBracket> hyperband_brackets(int64_t items, int64_t pool,
                                                 const HyperbandOptions& options) {
  base::check(items >= options.min_items && options.min_items > 0 && options.eta > 1 && pool > 0,
              "Hyperband has at least bmin items, eta of at least 2 and a candidate");
  const int64_t largest = largest_bracket(items, options);
  std::vector<HyperbandBracket> out;
  for (int64_t s = largest; s >= 0; --s) {
    HyperbandBracket bracket{.s = s};
    const int64_t scaled = (largest + 1) * power(options.eta, s);
    const int64_t proposed = std::min(pool, (scaled + s) / (s + 1));
    for (int64_t i = 0; i <= s; ++i) {
      // A bracket that the pool cut short still brings one candidate to its last stage.
      const int64_t kept = std::max<int64_t>(1, proposed / power(options.eta, i));
      bracket.stages.push_back({kept, stage_items(items, s, i, options)});
    }
    out.push_back(std::move(bracket));
  }
  return out;
}

int64_t calls_from_zero(std::span<const HyperbandBracket> brackets) {
  int64_t calls = 0;
  for (const auto& bracket : brackets)
    for (const auto& stage : bracket.stages) calls += stage.candidates * stage.items;
  return calls;
}

int64_t calls_with_extension(std::span<const HyperbandBracket> brackets) {
  int64_t calls = 0;
  for (const auto& bracket : brackets) {
    int64_t before = 0;
    for (const auto& stage : bracket.stages) {
      calls += stage.candidates * (stage.items - before);
      before = stage.items;
    }
  }
  return calls;
}

std::vector<ErrorCount> keep_best(std::vector<ErrorCount> evaluations, int64_t count) {
  std::ranges::sort(evaluations, better);
  if (count < static_cast<int64_t>(evaluations.size())) evaluations.resize(count);
  return evaluations;
}

void ErrorCounts::add(const ErrorCount& e) {
  base::check(e.items > 0 && e.wrong >= 0 && e.wrong <= e.items,
              "an evaluation has between none and all of its items wrong");
  const auto [at, fresh] = wrong_[e.candidate].emplace(e.items, e.wrong);
  base::check(fresh || at->second == e.wrong, "an evaluation at one fidelity has one result");
}

std::optional<ErrorCount> ErrorCounts::find(int64_t candidate, int64_t items) const {
  const auto known = wrong_.find(candidate);
  if (known == wrong_.end()) return {};
  const auto at = known->second.find(items);
  if (at == known->second.end()) return {};
  return ErrorCount{candidate, at->second, items};
}

ErrorCount ErrorCounts::below(int64_t candidate, int64_t items) const {
  const auto known = wrong_.find(candidate);
  if (known == wrong_.end()) return {candidate, 0, 0};
  auto after = known->second.upper_bound(items);
  if (after == known->second.begin()) return {candidate, 0, 0};
  --after;
  return {candidate, after->second, after->first};
}

ErrorCount ErrorCounts::extend(int64_t candidate, int64_t items, int64_t wrong) {
  const ErrorCount before = below(candidate, items);
  base::check(before.items < items || wrong == 0, "an evaluation that is there gets no more items");
  const ErrorCount after{candidate, before.wrong + wrong, items};
  add(after);
  return after;
}

std::vector<ErrorCount> ErrorCounts::level(int64_t items) const {
  std::vector<ErrorCount> out;
  for (const auto& [candidate, known] : wrong_)
    if (const auto at = known.find(items); at != known.end())
      out.push_back({candidate, at->second, items});
  return out;
}

std::vector<int64_t> ErrorCounts::levels() const {
  std::vector<int64_t> out;
  for (const auto& [candidate, known] : wrong_)
    for (const auto& [items, wrong] : known) out.push_back(items);
  std::ranges::sort(out);
  const auto [first, last] = std::ranges::unique(out);
  out.erase(first, last);
  return out;
}

std::vector<ErrorCount> ErrorCounts::latest() const {
  std::vector<ErrorCount> out;
  for (const auto& [candidate, known] : wrong_)
    out.push_back({candidate, known.rbegin()->second, known.rbegin()->first});
  return out;
}

std::vector<ErrorCount> model_observations(const ErrorCounts& counts, int64_t items,
                                           const HyperbandOptions& options) {
  const auto enough = [&](const std::vector<ErrorCount>& found) {
    return static_cast<int64_t>(found.size()) >= options.min_observations;
  };
  if (options.proposals == "paper") {
    const auto levels = counts.levels();
    for (auto level = levels.rbegin(); level != levels.rend(); ++level)
      if (auto found = counts.level(*level); enough(found)) return found;
    return {};
  }
  if (options.proposals == "random") return {};
  base::check(options.proposals == "min_pct" || options.proposals == "all_fidelities",
              "proposals are paper, min_pct, all_fidelities or random");
  auto found = counts.latest();
  if (options.proposals == "min_pct") {
    const auto least = static_cast<int64_t>(options.min_fidelity_pct * static_cast<double>(items));
    std::erase_if(found, [&](const ErrorCount& e) { return e.items < least; });
  }
  return enough(found) ? found : std::vector<ErrorCount>{};
}

Proposal propose(std::span<const int64_t> free, std::span<const double> scores,
                 const base::RandomStream& random, uint64_t number,
                 const HyperbandOptions& options) {
  base::check(!free.empty() && (scores.empty() || scores.size() == free.size()),
              "a proposal chooses among candidates that have a score each, or none");
  if (scores.empty() || random.uniform(2 * number) < options.random_interleaving)
    return {free[random.below(free.size(), 2 * number + 1)], false};
  const auto highest = std::ranges::max_element(scores) - scores.begin();  // the first of equals
  return {free[highest], true};
}

std::optional<ErrorCount> incumbent(const ErrorCounts& counts, int64_t items) {
  const auto found = keep_best(counts.level(items), 1);
  if (found.empty()) return {};
  return found.front();
}

}  // namespace preimage::bo
