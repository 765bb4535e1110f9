// The tables of a finished run.
#pragma once

#include <memory>
#include <vector>

#include "../search.hpp"
#include "rows.hpp"

namespace preimage::ips {

// Everything that the search knows at its end; of rank 0.
struct ResultsInput {
  const Setup& setup;
  const std::vector<TargetFacts>& facts;
  const std::vector<std::unique_ptr<SearchRecord>>& searches;
  const std::vector<std::shared_ptr<const Terms>>& manual;
  const std::vector<Found>& found;
  const std::vector<Repeats>& repeats;
  const std::vector<NegativeTest>& negatives;
  const std::vector<std::shared_ptr<const Terms>>& negative_terms;
  double tau = 0;

  Scale scale(int64_t target) const {
    return {setup.targets[static_cast<size_t>(target)].most_tokens, setup.unrelated};
  }
  Fitness fit(int64_t target, const Terms& terms) const {
    return fitness(terms, setup.config.fitness, scale(target));
  }
  Verdict verdict(int64_t target, const Terms& terms) const {
    return judge(terms, fit(target, terms), setup.config.accept, scale(target), tau);
  }
};

// Every table but ips/decisions.
store::UnitOutput make_results(const ResultsInput& in);
SummaryRow summary_row(const ResultsInput& in, const SearchRecord& search);
std::vector<NegativeRow> negative_rows(const ResultsInput& in);
std::vector<DiversityRow> diversity_rows(const ResultsInput& in);
std::vector<DecisionRow> decision_rows(const ResultsInput& in);

}  // namespace preimage::ips
