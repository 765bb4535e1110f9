// The mathematics of policy gradients, free of policies: advantages, and the losses of PPO,
// REINFORCE and DPO.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"

namespace preimage::ips {

// A step of an episode. `next_value` is V of the state behind it: also where a time limit cut the
// episode (end without terminal), whose rest is still worth something.
struct Step {
  double reward = 0, value = 0, next_value = 0;
  bool terminal = false;  // nothing comes behind it
  bool end = false;       // the last of its episode
};

struct Advantages {
  std::vector<double> advantages, returns;  // returns = advantages + values
};
// Generalised advantage estimation (Schulman et al. 2016): delta = r + gamma V' (1 - terminal) - V,
// A_t = delta_t + gamma lambda (1 - end_t) A_{t+1}. Episodes lie one behind the other.
Advantages gae(const std::vector<Step>& steps, double gamma, double lambda);

// sum_u gamma^(u-t) r_u within each episode.
std::vector<double> discounted_returns(const std::vector<Step>& steps, double gamma);
// For each episode's return at a step, the mean of the others' at the same step; of those that have
// ended, their 0. With one episode alone 0. returns [episode][step].
std::vector<std::vector<double>> leave_one_out(const std::vector<std::vector<double>>& returns);

struct PolicyLossOptions {
  double clip = 0.2;
  double value_weight = 0.5, entropy_weight = 0.01;
};

// What a batch of n actions is judged by; all [n].
struct PolicyBatch {
  at::Tensor log_probs;        // under the policy, differentiable
  at::Tensor old_log_probs;    // when they were drawn; PPO
  at::Tensor advantages;       // PPO: standardised by the caller; REINFORCE: G - b
  at::Tensor values, returns;  // PPO
  at::Tensor entropies;
};

struct PolicyLoss {
  at::Tensor total;  // differentiable
  double policy = 0, value = 0, entropy = 0;
  double divergence = 0;  // mean(rho - 1 - log rho), to the policy that drew the actions
};
// -mean min(rho A, clip(rho, 1 - eps, 1 + eps) A) + c_v mean 0.5 (V - R)^2 - c_e mean H (Schulman
// et al. 2017).
PolicyLoss ppo_loss(const PolicyBatch& batch, const PolicyLossOptions& options);
// -mean (G - b) log pi - c_e mean H (Williams 1992).
PolicyLoss reinforce_loss(const PolicyBatch& batch, const PolicyLossOptions& options);
// (A - mean) / (standard deviation with ddof 0 + 1e-8).
at::Tensor standardised(const at::Tensor& advantages);

// Log-probabilities of whole prompts, sums over their tokens, under the proposer and under the
// frozen one that it started from; all [pairs].
struct PreferencePairs {
  at::Tensor chosen, chosen_reference, rejected, rejected_reference;
};
// -mean log sigmoid(beta ((chosen - its reference) - (rejected - its reference))) (Rafailov et al.
// 2023).
at::Tensor dpo_loss(const PreferencePairs& pairs, double beta);

}  // namespace preimage::ips
