// Pass@k (Chen et al. 2021) and what a selection among a problem's candidates is compared with.
#pragma once

#include <cstdint>
#include <span>

namespace preimage::eval {

// A problem's candidates: how many, and how many of them pass.
struct PassCount {
  int64_t candidates = 0;
  int64_t passing = 0;
};

// Probability that at least one of k candidates drawn without replacement passes: 1 - C(n-c, k) /
// C(n, k), as the product 1 - prod_{j = n-c+1}^{n} (1 - k / j). Needs 1 <= k <= n.
double pass_at_k(const PassCount& count, int64_t k);
// Means over problems; NaN without any.
double mean_pass_at_k(std::span<const PassCount> counts, int64_t k);
double random_pass_at_1(std::span<const PassCount> counts);  // the expectation, not a draw
double oracle_pass_at_1(std::span<const PassCount> counts);  // any candidate passes
// (selected - random) / (oracle - random); NaN where no selection could gain anything.
double gap_recovered(double selected, double random, double oracle);

}  // namespace preimage::eval
