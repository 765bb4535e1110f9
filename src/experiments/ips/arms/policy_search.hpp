// Reinforcement learning on edits of a prompt: PPO and REINFORCE (Stage 3).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../rl/edit_policy.hpp"
#include "../rl/losses.hpp"
#include "arm.hpp"
#include "genetic.hpp"
#include "preimage/base/config.hpp"
#include "preimage/optim/adam.hpp"

namespace preimage::ips {

struct PolicyOptions {
  int64_t episodes = 8;       // at once; an update follows when all have ended
  int64_t horizon = 50;       // edits of an episode
  int64_t vocabulary = 2000;  // word-start tokens that may be written
  int64_t width = 32;
  double gamma = 0.99, lambda = 0.95;
  double bonus = 1;  // of an accepted prompt, which ends its episode
  int64_t epochs = 4, minibatch = 256;
  double learning_rate = 3e-4, gradient_clip = 0.5;
  double divergence = 0.03;  // mean(rho - 1 - log rho) at which an update of PPO stops
  PolicyLossOptions loss;
  void fields(base::Fields& f);
};

// Every step of an episode is a call of the model, charged like any other search's; the reward is
// the gain in Fit, r = Phi(s') - Phi(s) with Phi = Fit, and `bonus` on success. An episode starts
// at a fresh prompt, all of a batch at the same one, so that each episode's return may be compared
// with the others'.
class PolicySearch : public Arm {
 public:
  // REINFORCE without `clipped`: one epoch, advantages by leave-one-out returns.
  PolicySearch(const ArmInputs& inputs, const PolicyOptions& options, bool clipped);
  std::vector<Ask> ask() override;
  void tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) override;
  std::vector<PolicyUpdate> updates() const override { return updates_; }

 private:
  struct Episode {
    std::string text;
    double fitness = 0, best = 0;  // best: largest match
    int64_t parent = 0;
    bool live = true;
    std::vector<EditState> states;
    std::vector<EditSample> samples;
    std::vector<Step> steps;
  };

  EditState state_of(const Episode& episode) const;
  std::string edited(const Episode& episode, const EditAction& action) const;
  // The next prompt of a live episode; false where it chose to stop.
  bool act(Episode& episode, size_t number, Ask& ask);
  void end(Episode& episode, bool terminal);
  void update();
  PolicyUpdate train(const std::vector<EditState>& states, const std::vector<EditSample>& samples,
                     const Advantages& advantages);

  ArmInputs inputs_;
  PolicyOptions options_;
  bool clipped_;
  GeneticOptions fresh_options_;
  std::vector<int64_t> token_ids_;  // of vocabulary number - 1
  std::vector<int64_t> numbers_;    // by token id; 0: not in the vocabulary
  std::unique_ptr<EditPolicy> policy_;
  optim::AdamWState adam_;
  std::vector<Episode> episodes_;
  std::vector<size_t> acting_;  // episodes behind what was asked
  bool starting_ = true;
  int64_t wave_ = 0, batch_ = 0;
  std::vector<PolicyUpdate> updates_;
};

}  // namespace preimage::ips
