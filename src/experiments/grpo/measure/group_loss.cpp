#include "group_loss.hpp"

#include <algorithm>
#include <cmath>

namespace preimage::grpo {
namespace {
constexpr double kEpsilon = 1e-8;  // beside the standard deviation
}

Group make_group(std::span<const double> rewards) {
  Group out;
  if (rewards.empty()) return out;
  const auto count = static_cast<double>(rewards.size());
  for (const double r : rewards) out.mean += r;
  out.mean /= count;
  double squares = 0;
  for (const double r : rewards) {
    out.advantages.push_back(r - out.mean);
    squares += (r - out.mean) * (r - out.mean);
  }
  out.deviation = rewards.size() > 1 ? std::sqrt(squares / (count - 1)) : 0;
  const auto [low, high] = std::ranges::minmax(rewards);
  out.range = high - low;
  if (out.flat()) std::ranges::fill(out.advantages, 0.0);
  return out;
}

std::vector<double> loss_weights(const Group& group, std::span<const int64_t> lengths,
                                 Denominator denominator, int64_t max_new) {
  std::vector<double> out;
  const auto count = static_cast<double>(group.advantages.size());
  for (size_t i = 0; i < group.advantages.size(); ++i) {
    double weight = group.advantages[i] / count;
    if (denominator == Denominator::dr_grpo)
      weight *= static_cast<double>(lengths[i]) / static_cast<double>(max_new);
    if (denominator == Denominator::classic) weight /= group.deviation + kEpsilon;
    out.push_back(weight);
  }
  return out;
}

double k3(double d) {
  return std::expm1(d) - d;
}

}  // namespace preimage::grpo
