// Sweeps: "sweep": {"dcm.k": [4, 8], "run.seed": [0, 1, 2]} of a job runs every combination inside
// one program, and all combinations' units of one wave are dealt together.
#pragma once

#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/run/search.hpp"

namespace preimage::run {

class Context;

// Every combination as {"field": value}; fields in the order of their names, the last one fastest.
// An empty sweep gives one empty combination. Throws ExitCode::bad_config for a field without a
// list, a value that a field has twice, and more than kMostCombinations.
inline constexpr int64_t kMostCombinations = 10'000;  // each holds its config and state in memory
std::vector<base::Json> expand_sweep(const base::Json& sweep, const std::string& place);

// One combination of a sweep, with the context and the search of its own config (not owned).
struct SweepPart {
  Context* context = nullptr;  // its sweep() is {"dcm.k": 8}
  Search* search = nullptr;
};

// search_loop() for all combinations together. Each search sees its own units just as if it ran
// alone, so that it gives what the single job gives; in the journal a unit's key carries the
// combination as "sweep", and every table of results.h5 gets a column for each swept field.
void sweep_loop(const std::vector<SweepPart>& parts);

}  // namespace preimage::run
