#include "rl/losses.hpp"

#include <algorithm>

#include <ATen/ATen.h>

namespace preimage::ips {

Advantages gae(const std::vector<Step>& steps, double gamma, double lambda) {
  Advantages out;
  out.advantages.resize(steps.size()), out.returns.resize(steps.size());
  double behind = 0;
  for (size_t t = steps.size(); t-- > 0;) {
    const auto& s = steps[t];
    const double delta = s.reward + (s.terminal ? 0 : gamma * s.next_value) - s.value;
    behind = delta + (s.end ? 0 : gamma * lambda * behind);
    out.advantages[t] = behind;
    out.returns[t] = behind + s.value;
  }
  return out;
}

std::vector<double> discounted_returns(const std::vector<Step>& steps, double gamma) {
  std::vector<double> out(steps.size());
  double behind = 0;
  for (size_t t = steps.size(); t-- > 0;)
    out[t] = behind = steps[t].reward + (steps[t].end ? 0 : gamma * behind);
  return out;
}

std::vector<std::vector<double>> leave_one_out(const std::vector<std::vector<double>>& returns) {
  size_t longest = 0;
  for (const auto& episode : returns) longest = std::max(longest, episode.size());
  std::vector<double> sums(longest, 0);
  for (const auto& episode : returns) {
    for (size_t t = 0; t < episode.size(); ++t) sums[t] += episode[t];
  }
  const auto others = static_cast<double>(returns.size()) - 1;
  auto out = returns;
  for (auto& episode : out) {
    for (size_t t = 0; t < episode.size(); ++t)
      episode[t] = others > 0 ? (sums[t] - episode[t]) / others : 0;
  }
  return out;
}

at::Tensor standardised(const at::Tensor& a) {
  return (a - a.mean()) / (a.std(/*unbiased=*/false) + 1e-8);
}

PolicyLoss ppo_loss(const PolicyBatch& b, const PolicyLossOptions& options) {
  const auto log_ratio = b.log_probs - b.old_log_probs;
  const auto ratio = log_ratio.exp();
  const auto policy =
      -at::min(ratio * b.advantages, ratio.clamp(1 - options.clip, 1 + options.clip) * b.advantages)
           .mean();
  const auto value = 0.5 * (b.values - b.returns).square().mean();
  const auto entropy = b.entropies.mean();
  PolicyLoss out;
  out.total = policy + options.value_weight * value - options.entropy_weight * entropy;
  out.policy = policy.item<double>(), out.value = value.item<double>();
  out.entropy = entropy.item<double>();
  out.divergence = (ratio - 1 - log_ratio).mean().item<double>();
  return out;
}

PolicyLoss reinforce_loss(const PolicyBatch& b, const PolicyLossOptions& options) {
  const auto policy = -(b.advantages * b.log_probs).mean();
  const auto entropy = b.entropies.mean();
  PolicyLoss out;
  out.total = policy - options.entropy_weight * entropy;
  out.policy = policy.item<double>(), out.entropy = entropy.item<double>();
  return out;
}

at::Tensor dpo_loss(const PreferencePairs& p, double beta) {
  const auto margin = (p.chosen - p.chosen_reference) - (p.rejected - p.rejected_reference);
  return -at::log_sigmoid(beta * margin).mean();
}

}  // namespace preimage::ips
