// One search: a method, for one target, with one seed. A pure fold: what it asks next depends on
// its seed and on what it was told, and on nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../fitness.hpp"
#include "../targets.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "prompt_source.hpp"

namespace preimage::ips {

struct Ask {
  enum class Kind {
    evaluate,  // the answer to a prompt, with all terms
    gradient,  // tokens that should lower the target's loss at each place of a prompt
    loss,      // the target's loss behind a prompt, without an answer
    propose,   // instructions that the model writes when it is shown the target
    prefer,    // the same by the model tuned on pairs of prompts
  } kind = Kind::evaluate;
  std::string text;              // of evaluate, loss and gradient
  std::string operation;         // what made the prompt: "crossover+deletion"
  std::vector<int64_t> parents;  // numbers of the arm's evaluations
  int64_t first = 0, count = 0;  // of propose and prefer: samples [first, first + count)
  // Of loss: the evaluation whose answer stands for the one that is not written.
  int64_t basis = 0;
  std::vector<std::pair<std::string, std::string>> pairs;  // of prefer: the better prompt first
  int64_t gradients = 0;                                   // of prefer: of sequences

  bool has_terms() const { return kind == Kind::evaluate || kind == Kind::loss; }
  // Calls of the model: an answer, a loss, a sample, the gradient of a sequence.
  int64_t calls() const {
    const bool samples = kind == Kind::propose || kind == Kind::prefer;
    return samples ? count + gradients : 1;
  }
};

// Swaps for each place of a prompt, best first: [place][token id].
using Swaps = std::vector<std::vector<int64_t>>;

// One update of a policy; NaN what its kind has not.
struct PolicyUpdate {
  int64_t update = 0, epochs = 0;
  double episode_return = 0, policy_loss = 0, value_loss = 0, entropy = 0, divergence = 0,
         gradient_norm = 0;
};

// What came of an Ask; the members of its kind are set.
struct Reply {
  int64_t index = 0;  // evaluate and loss: number of the evaluation within the arm
  const Terms* terms = nullptr;
  Fitness fitness;  // of loss: with the similarities of the basis
  bool accepted = false;
  const Swaps* swaps = nullptr;
  const std::vector<std::string>* texts = nullptr;
  const PolicyUpdate* training = nullptr;  // prefer
};

// What an arm is made of; all must outlive it.
struct ArmInputs {
  const Target& target;
  const text::Tokenizer& tokenizer;
  const PromptSource& prompts;
  const std::vector<bool>& readable;  // by token id: see readable_tokens
  uint64_t run_seed = 0;
  std::string name;  // "ga/0/TARGET": the key of its random numbers
};

class Arm {
 public:
  virtual ~Arm() = default;
  // The next wave; empty: it has nothing more to try.
  virtual std::vector<Ask> ask() = 0;
  // In the order of what was asked. Fewer replies than asks: the calls are used up. A `loss` whose
  // prompt the search had evaluated comes back as that evaluation.
  virtual void tell(const std::vector<Ask>& asked, const std::vector<Reply>& replies) = 0;
  // Why it has nothing more: "stagnation".
  virtual std::string ended() const { return ""; }
  // Of an arm that trains a policy.
  virtual std::vector<PolicyUpdate> updates() const { return {}; }
};

}  // namespace preimage::ips
