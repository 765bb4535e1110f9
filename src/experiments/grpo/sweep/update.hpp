// One on-policy update of an adapter from groups of samples, and what it did along the hack
// direction.
#pragma once

#include <cstdint>
#include <vector>

#include "measure/directions.hpp"
#include "measure/group_loss.hpp"
#include "measure/projection.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/optim/adam.hpp"
#include "sweep/config.hpp"
#include "sweep/rollout.hpp"

namespace preimage::grpo {

struct UpdateOptions {
  SweepArm arm = SweepArm::vanilla;
  Denominator denominator = Denominator::dr_grpo;
  int64_t max_new_tokens = 1536;
  double kl = 0;
  double advantage_penalty = 0;
  double learning_rate = 0;
  double sgd_momentum = 0.9;
  optim::AdamOptions adam;
  ProjectionOptions projection;
  int64_t batch_tokens = 8192;
};

// What is changed, and what it stands on.
struct Policy {
  const lm::Model& base;  // with the adapter zeroed: the reference
  lm::LiveAdapter& adapter;
  optim::AdamWState& adam;  // under projected_sgd its first moment is the momentum
  cluster::Communicator ranks = cluster::alone();  // that share the work, all with these values
};

struct UpdateResult {
  double loss = 0;           // of the policy term, at the samples' own policy
  double kl = 0;             // mean over tokens of K3 to the reference
  int64_t flat_groups = 0;   // without variance of rewards: skipped
  double gradient_norm = 0;  // before projection and clipping
  Alignment before;          // of the gradient with the hack direction
  Alignment random;          // with random directions of the same ranks: its null
  double cos_out = 0;        // cos_in behind the projection; NaN where the arm takes nothing out
  Alignment leak;            // of the update, decay apart
};

// `hack` is measured against in every arm; `random` is what the arm "random" takes out.
struct SweepDirections {
  Directions hack, random;
};

// loss = sum over groups and samples of w_i NLL_i / groups (loss_weights) + kl * K3 under the same
// denominator (without the standard deviation of "classic"), NLL and K3 of the completion's tokens,
// the ratio to the policy that wrote them being 1. Groups whose rewards are all equal are skipped,
// their K3 too. Accumulate, project, clip, step. A group's samples are added in order, and groups
// along one binary tree (cluster::TreeSum): an update depends on its samples alone, whatever the
// number of ranks. Collective over policy.ranks, which are given the same groups.
UpdateResult update(const Policy& policy, const std::vector<SampleGroup>& groups,
                    const SweepDirections& directions, const UpdateOptions& options);

}  // namespace preimage::grpo
