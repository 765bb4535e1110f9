// What the decision rules look at, gathered from the tables.
#pragma once

#include <string>
#include <vector>

#include "decisions.hpp"
#include "rows.hpp"

namespace preimage::grpo {

struct ProbeTables {
  const std::vector<StepRow>* steps = nullptr;
  const std::vector<SampleRow>* samples = nullptr;
  const std::vector<NullRow>* nulls = nullptr;
  const std::vector<ComparisonRow>* comparisons = nullptr;
};

// Of one pass: `vanilla` measured, `projected` (of the same basis) projected. The null is the
// random one.
ProbeEvidence gather(const ProbeTables& tables, const std::string& pass, const std::string& vanilla,
                     const std::string& projected);

// The rules for each pass and each arm that projects one-sidedly, beside vanilla of its basis; an
// arm of a basis without a vanilla one stands beside itself, measured before projection. Nothing
// for passes that hold no such arm.
std::vector<DecisionRow> decision_rows(const ProbeTables& tables);

}  // namespace preimage::grpo
