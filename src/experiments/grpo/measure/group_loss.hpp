// Advantages of a group of samples and the losses that are made of them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace preimage::grpo {

// What a sample's sum of token losses is divided by.
enum class Denominator {
  plan,     // A_i / G times the mean over the sample's tokens
  dr_grpo,  // A_i / (G max_new) times the sum over them (Liu et al. 2025, "Dr. GRPO")
  classic,  // the plan's with A_i / (std + 1e-8), std with G - 1 (Shao et al. 2024)
};

struct Group {
  std::vector<double> advantages;  // r_i - mean(r)
  double mean = 0;
  double deviation = 0;                     // standard deviation with G - 1; 0 for a single sample
  double range = 0;                         // largest less smallest reward
  bool flat() const { return range == 0; }  // no advantage but zero: the step is skipped
};
Group make_group(std::span<const double> rewards);

// w_i with which the group's loss is sum_i w_i NLL_i, NLL_i the mean negative log-probability of
// sample i's `lengths[i]` tokens: its gradient is the same sum of gradients. The ratio to the
// policy that wrote the sample is taken as 1 (logp_old is the student's own).
std::vector<double> loss_weights(const Group& group, std::span<const int64_t> lengths,
                                 Denominator denominator, int64_t max_new);

// K3 estimator of a KL divergence, e^d - d - 1 with d = lp_reference - lp (Schulman 2020).
double k3(double d);

}  // namespace preimage::grpo
