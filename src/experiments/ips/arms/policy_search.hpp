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
  int64_t decode = 10;        // every so many of them, and at the end, the answer is written
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

// Every step of an episode is a call of the model, charged like any other search's: the target's
// loss behind the prompt, and every `decode` steps, at the end, and where the loss says that the
// target would be written (each of its tokens is the likeliest), the answer itself. The reward is
// the gain in Fit, r = Phi(s') - Phi(s), and `bonus` on success; between two answers Phi is Fit
// with the similarities of the last one, so that the sum is Fit at the end less Fit at the start
// all the same. An episode starts at a fresh prompt, all of a batch at the same one, so that each
// episode's return may be compared with the others'.
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
    double fitness = 0, best = 0;   // best: largest match
    int64_t parent = 0, basis = 0;  // evaluations: the last, and the last with an answer
    bool live = true;
    bool decoded = true;    // the prompt's answer is known
    bool decoding = false;  // it is asked for, and no edit
    bool closing = false;   // the policy chose to stop
    std::vector<EditState> states;
    std::vector<EditSample> samples;
    std::vector<Step> steps;
  };

  EditState state_of(const Episode& episode) const;
  std::string edited(const Episode& episode, const EditAction& action) const;
  // What a live episode asks next; false where it chose to stop and nothing is left to ask.
  bool act(Episode& episode, size_t number, Ask& ask);
  void take(Episode& episode, const Ask& ask, const Reply& reply);
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
