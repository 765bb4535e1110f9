#include "report/k_sweep.hpp"

namespace preimage::dcm {

int64_t minimum_viable_k(const std::map<int64_t, double>& exact_rate, int64_t reference_k,
                         double margin) {
  if (exact_rate.empty()) return 0;
  const auto found = exact_rate.find(reference_k);
  const double reference = found != exact_rate.end() ? found->second : exact_rate.rbegin()->second;
  if (!(reference > 0)) return 0;
  for (const auto& [k, rate] : exact_rate) {
    // 0.95 against 1.00 - 0.05 counts as within: the rates are ratios of small integers.
    if (rate > 0 && rate >= reference - margin - 1e-12) return k;
  }
  return 0;
}

}  // namespace preimage::dcm
