#include "discrimination.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace preimage::grpo {
namespace {

struct Sets {
  std::vector<double> first, second;
};

double area(const Sets& sets) {
  return area_under_roc(sets.first, sets.second);
}

}  // namespace

double area_under_roc(std::span<const double> first, std::span<const double> second) {
  if (first.empty() || second.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::vector<double> sorted(second.begin(), second.end());
  std::ranges::sort(sorted);
  double wins = 0;
  for (const double x : first) {
    const auto [low, high] = std::ranges::equal_range(sorted, x);
    wins += static_cast<double>(low - sorted.begin()) + 0.5 * static_cast<double>(high - low);
  }
  return wins / (static_cast<double>(first.size()) * static_cast<double>(second.size()));
}

base::Interval bootstrap_auc(std::span<const SteppedValue> values, const base::RandomStream& random,
                             int64_t draws) {
  std::map<int64_t, Sets> by_step;
  Sets all;
  for (const auto& v : values) {
    if (std::isnan(v.value)) continue;
    auto& step = by_step[v.step];
    (v.first ? step.first : step.second).push_back(v.value);
    (v.first ? all.first : all.second).push_back(v.value);
  }
  base::Interval out{area(all), 0, 1};
  if (std::isnan(out.estimate)) return out;
  std::vector<const Sets*> steps;
  for (const auto& [step, sets] : by_step) steps.push_back(&sets);
  std::vector<double> areas;
  for (int64_t d = 0; d < draws; ++d) {
    Sets drawn;
    for (size_t j = 0; j < steps.size(); ++j) {
      const auto& pick =
          *steps[random.below(steps.size(), static_cast<uint64_t>(d) * steps.size() + j)];
      drawn.first.insert(drawn.first.end(), pick.first.begin(), pick.first.end());
      drawn.second.insert(drawn.second.end(), pick.second.begin(), pick.second.end());
    }
    if (const double a = area(drawn); !std::isnan(a)) areas.push_back(a);
  }
  std::ranges::sort(areas);
  if (areas.empty()) return out;
  out.low = base::percentile(areas, 0.025);
  out.high = base::percentile(areas, 0.975);
  return out;
}

}  // namespace preimage::grpo
