// Gradient-guided token swaps: greedy coordinate gradient (Zou et al. 2023) on the target's
// teacher-forced loss, with the prompt's length found as MiniPrompt does (Schwarzschild et al.
// 2024, arXiv 2404.15146): one token shorter after a success, longer after a failure.
#pragma once

#include <string>
#include <vector>

#include "arm.hpp"
#include "preimage/base/config.hpp"

namespace preimage::ips {

struct SwapOptions {
  int64_t top = 64;          // tokens for each place
  int64_t candidates = 64;   // prompts of a step, each one swap away from the best
  int64_t start_tokens = 5;  // of the first prompt
  int64_t steps = 20;        // without success at one length before the prompt grows
  int64_t growth = 5;        // tokens that it grows by
  void fields(base::Fields& f);
};

// Whether a token may stand in a readable prompt: a space or none, then letters alone or digits
// alone, or one of . , ; :
bool is_readable_token(const std::string& text);
// By id; special tokens are not.
std::vector<bool> readable_tokens(const text::Tokenizer& tokenizer);

class TokenSwaps : public Arm {
 public:
  // `readable`: only tokens that read as words; else any but special ones.
  TokenSwaps(const ArmInputs& inputs, const SwapOptions& options, bool readable);
  // A gradient and then the candidates that it suggests, in turn.
  std::vector<Ask> ask() override;
  void tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) override;
  std::string ended() const override { return ended_; }

 private:
  enum class Phase { start, gradient, candidates };
  std::string random_prompt(int64_t tokens, Draws& draws) const;
  std::vector<Ask> candidates();
  void restart(const std::string& text);
  void grow(Draws& draws);
  void shrink(Draws& draws);

  ArmInputs inputs_;
  SwapOptions options_;
  std::vector<int64_t> allowed_;  // token ids
  Phase phase_ = Phase::start;
  std::string best_;  // of the present length
  int64_t best_index_ = 0;
  Swaps swaps_;
  int64_t step_ = 0, steps_here_ = 0;
  std::string ended_;
};

}  // namespace preimage::ips
