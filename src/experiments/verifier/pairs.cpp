#include "pairs.hpp"

#include <algorithm>
#include <map>

#include "edit_distance.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::verifier {
namespace {

int64_t hard_count(const MiningOptions& options) {
  return static_cast<int64_t>(options.hard_share * static_cast<double>(options.negatives) + 0.5);
}

// The `count` failing candidates nearest to `positive`; the lower index wins a tie.
std::vector<int64_t> nearest_failing(const std::vector<MiningCandidate>& candidates,
                                     int64_t positive, const std::vector<int64_t>& failing,
                                     int64_t count) {
  std::vector<std::pair<int64_t, int64_t>> by_distance;
  for (const int64_t index : failing)
    by_distance.emplace_back(edit_distance(candidates[static_cast<size_t>(positive)].program,
                                           candidates[static_cast<size_t>(index)].program),
                             index);
  const auto kept =
      static_cast<std::ptrdiff_t>(std::min<size_t>(static_cast<size_t>(count), by_distance.size()));
  std::partial_sort(by_distance.begin(), by_distance.begin() + kept, by_distance.end());
  std::vector<int64_t> out;
  for (std::ptrdiff_t i = 0; i < kept; ++i)
    out.push_back(by_distance[static_cast<size_t>(i)].second);
  return out;
}

}  // namespace

void MiningOptions::fields(base::Fields& f) {
  f.add("negatives", negatives,
        {.help = "failing candidates drawn for each passing one", .min = 1, .max = 64});
  f.add("hard_share", hard_share,
        {.help = "share of them that is nearest by edit distance; the rest is uniform",
         .min = 0,
         .max = 1});
  f.add("problem_pairs", problem_pairs,
        {.help = "most pairs of one problem in an epoch", .unit = "pairs", .min = 1, .max = 1e6});
}

DistinctCandidates distinct_candidates(const std::vector<MiningCandidate>& candidates) {
  struct Seen {
    int64_t first = 0;
    bool passes = false, contradicts = false;
  };
  std::map<std::string, Seen> forms;
  DistinctCandidates out;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const auto [at, fresh] = forms.try_emplace(
        candidates[i].normal_form, Seen{static_cast<int64_t>(i), candidates[i].passes, false});
    if (fresh) continue;
    ++out.duplicates;
    at->second.contradicts |= at->second.passes != candidates[i].passes;
  }
  std::vector<Seen> in_order;
  for (const auto& [form, seen] : forms) in_order.push_back(seen);
  std::sort(in_order.begin(), in_order.end(),
            [](const Seen& a, const Seen& b) { return a.first < b.first; });
  for (const auto& seen : in_order) {
    if (seen.contradicts) {
      ++out.contradictions;
    } else {
      (seen.passes ? out.passing : out.failing).push_back(seen.first);
    }
  }
  return out;
}

PairMiner::PairMiner(std::vector<std::vector<MiningCandidate>> problems,
                     const MiningOptions& options, uint64_t seed)
    : problems_(std::move(problems)), options_(options), seed_(seed) {
  for (const auto& candidates : problems_) {
    distinct_.push_back(distinct_candidates(candidates));
    auto& nearest = nearest_.emplace_back();
    for (const int64_t positive : distinct_.back().passing)
      nearest.push_back(
          nearest_failing(candidates, positive, distinct_.back().failing, hard_count(options_)));
  }
}

int64_t PairMiner::groups_of(const DistinctCandidates& distinct) const {
  const auto failing = static_cast<int64_t>(distinct.failing.size());
  if (failing == 0) return 0;
  const int64_t pairs = std::min(options_.negatives, failing);
  return std::min(static_cast<int64_t>(distinct.passing.size()),
                  std::max<int64_t>(1, options_.problem_pairs / pairs));
}

int64_t PairMiner::groups_per_epoch() const {
  int64_t total = 0;
  for (const auto& distinct : distinct_) total += groups_of(distinct);
  return total;
}

int64_t PairMiner::problems_with_both() const {
  return std::count_if(distinct_.begin(), distinct_.end(),
                       [&](const auto& distinct) { return groups_of(distinct) > 0; });
}

std::vector<Group> PairMiner::problem_groups(size_t problem, int64_t epoch) const {
  const auto& distinct = distinct_[problem];
  const int64_t count = groups_of(distinct);
  std::vector<Group> groups;
  if (count == 0) return groups;
  const std::string unit = base::str("problem ", problem, " epoch ", epoch);
  const auto places = base::RandomStream(seed_, unit, "passing candidates")
                          .permutation(static_cast<int64_t>(distinct.passing.size()));
  const base::RandomStream uniform(seed_, unit, "failing candidates");
  for (int64_t g = 0; g < count; ++g) {
    const auto place = static_cast<size_t>(places[static_cast<size_t>(g)]);
    Group group{.problem = static_cast<int64_t>(problem), .positive = distinct.passing[place]};
    group.negatives = nearest_[problem][place];
    group.hard = static_cast<int64_t>(group.negatives.size());
    std::vector<int64_t> rest;
    for (const int64_t index : distinct.failing) {
      if (std::find(group.negatives.begin(), group.negatives.end(), index) == group.negatives.end())
        rest.push_back(index);
    }
    for (int64_t j = group.hard; j < options_.negatives && !rest.empty(); ++j) {
      const auto pick = static_cast<std::ptrdiff_t>(
          uniform.below(rest.size(), static_cast<uint64_t>(g * options_.negatives + j)));
      group.negatives.push_back(rest[static_cast<size_t>(pick)]);
      rest.erase(rest.begin() + pick);
    }
    group.weight = 1 / static_cast<double>(count);
    groups.push_back(std::move(group));
  }
  return groups;
}

std::vector<Group> PairMiner::epoch(int64_t epoch) const {
  std::vector<Group> all;
  for (size_t p = 0; p < problems_.size(); ++p) {
    auto groups = problem_groups(p, epoch);
    std::move(groups.begin(), groups.end(), std::back_inserter(all));
  }
  const auto order = base::RandomStream(seed_, base::str("epoch ", epoch), "order of groups")
                         .permutation(static_cast<int64_t>(all.size()));
  std::vector<Group> out;
  for (const int64_t place : order) out.push_back(all[static_cast<size_t>(place)]);
  return out;
}

}  // namespace preimage::verifier
