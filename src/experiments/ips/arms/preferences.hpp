// The model proposes, and is tuned toward its better proposals by direct preference optimisation.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "../rl/preference.hpp"
#include "arm.hpp"
#include "draws.hpp"
#include "proposals.hpp"

namespace preimage::ips {

struct PreferenceSearchOptions {
  int64_t pairs = 8;  // of a training, at most
  double gap = 0.1;   // of Fit between the prompts of a pair, at least
  PreferenceOptions training;
  void fields(base::Fields& f);
};

// As Proposals, but once the prompts tried so far make pairs, each block is sampled from the frozen
// model with an adapter trained anew on pairs drawn from all of them. A training costs as many
// calls as it takes gradients of sequences.
class Preferences : public Arm {
 public:
  Preferences(const ArmInputs& inputs, const ProposalOptions& proposals,
              const PreferenceSearchOptions& options)
      : inputs_(inputs), proposals_(proposals), options_(options) {}
  std::vector<Ask> ask() override;
  void tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) override;
  std::string ended() const override { return ended_; }
  std::vector<PolicyUpdate> updates() const override { return updates_; }

 private:
  struct Tried {
    std::string text;
    double fitness = 0;
  };
  std::vector<std::pair<std::string, std::string>> draw_pairs() const;
  void take_texts(const std::vector<std::string>& texts);

  ArmInputs inputs_;
  ProposalOptions proposals_;
  PreferenceSearchOptions options_;
  int64_t drawn_ = 0, blocks_ = 0, barren_ = 0;
  std::set<std::string> seen_;
  std::vector<Tried> tried_;
  std::vector<Ask> pending_;
  bool tuned_ = false;  // what is pending comes from a tuned model
  std::vector<PolicyUpdate> updates_;
  std::string ended_;
};

}  // namespace preimage::ips
