// What the search decides on and the journal keeps of a joint unit, and the rows made of many.
#pragma once

#include <span>

#include "preimage/base/json.hpp"
#include "report/rows.hpp"

namespace preimage::dcm {

struct PairSummary {
  JointOutcome outcome;
  bool tight = false;
  bool exact = false;
  int64_t steps = 0;
  FirstSteps first;
  int64_t restarts_needed = -1;
  double seconds = none;  // measured
};

PairSummary summarise(const PairRow& row);

// A JSON object and back; NaN is null. `from_json` throws ExitCode::bug where a key is missing.
base::Json to_json(const PairSummary& summary);
PairSummary summary_from_json(const base::Json& json);

// One row of dcm/sweep. `minimum_viable` is left false.
SweepRow sweep_row(const std::string& stage, int64_t k, const std::string& init,
                   std::span<const PairSummary> pairs);

}  // namespace preimage::dcm
