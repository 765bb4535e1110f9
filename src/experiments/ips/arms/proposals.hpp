// The model proposes: it is shown the target and asked for an instruction (reverse prompt
// engineering). The simplest control that a search must beat.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "arm.hpp"
#include "preimage/base/config.hpp"

namespace preimage::ips {

struct ProposalOptions {
  std::string pattern =
      "Here is a program.\n\n{code}\n\nWrite one short instruction, of at most {tokens} tokens, "
      "that would make you write exactly this program. Answer with the instruction alone.";
  std::vector<std::string> stop = {"\n"};
  double temperature = 1;
  double top_p = 1;
  int64_t block = 16;  // samples that are drawn, then tried, in turn
  void fields(base::Fields& f);
};

// What the model is shown, with {code} and {tokens} filled in.
std::string proposal_prompt(const std::string& pattern, const Target& target);

class Proposals : public Arm {
 public:
  Proposals(const ArmInputs& inputs, const ProposalOptions& options)
      : inputs_(inputs), options_(options) {}
  // Samples and their evaluations in turn; a sample that came before is not evaluated again.
  std::vector<Ask> ask() override;
  void tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) override;
  std::string ended() const override { return ended_; }

 private:
  ArmInputs inputs_;
  ProposalOptions options_;
  int64_t drawn_ = 0;
  int64_t barren_ = 0;  // blocks in a row without anything new
  std::set<std::string> seen_;
  std::vector<Ask> pending_;
  std::string ended_;
};

}  // namespace preimage::ips
