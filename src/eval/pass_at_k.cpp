#include "preimage/eval/pass_at_k.hpp"

#include <limits>

#include "preimage/base/error.hpp"

namespace preimage::eval {
namespace {

template <class Function>
double mean_of(std::span<const PassCount> counts, const Function& function) {
  if (counts.empty()) return std::numeric_limits<double>::quiet_NaN();
  double sum = 0;
  for (const auto& count : counts) sum += function(count);
  return sum / static_cast<double>(counts.size());
}

}  // namespace

double pass_at_k(const PassCount& count, int64_t k) {
  base::check(k >= 1 && k <= count.candidates && count.passing <= count.candidates,
              "pass@k draws among the candidates");
  if (count.candidates - count.passing < k) return 1;
  double none = 1;
  for (int64_t j = count.candidates - count.passing + 1; j <= count.candidates; ++j)
    none *= 1 - static_cast<double>(k) / static_cast<double>(j);
  return 1 - none;
}

double mean_pass_at_k(std::span<const PassCount> counts, int64_t k) {
  return mean_of(counts, [&](const PassCount& count) { return pass_at_k(count, k); });
}

double random_pass_at_1(std::span<const PassCount> counts) {
  return mean_of(counts, [](const PassCount& count) {
    return static_cast<double>(count.passing) / static_cast<double>(count.candidates);
  });
}

double oracle_pass_at_1(std::span<const PassCount> counts) {
  return mean_of(counts, [](const PassCount& count) { return count.passing > 0 ? 1.0 : 0.0; });
}

double gap_recovered(double selected, double random, double oracle) {
  return oracle > random ? (selected - random) / (oracle - random)
                         : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace preimage::eval
