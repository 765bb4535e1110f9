// Which number of content slots is enough.
#pragma once

#include <cstdint>
#include <map>

namespace preimage::dcm {

// The smallest K whose exact rate is at most `margin` below that of `reference_k` (the plan: 32);
// where the sweep does not hold it, the largest K of the sweep is the reference. 0 when the sweep
// is empty or the reference's rate is 0: then no K works.
int64_t minimum_viable_k(const std::map<int64_t, double>& exact_rate, int64_t reference_k,
                         double margin = 0.05);

}  // namespace preimage::dcm
