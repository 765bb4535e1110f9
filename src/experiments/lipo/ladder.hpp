// Hyperband over the pool as a fold: what is to be proposed or evaluated next, from what was
// committed so far.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evaluation.hpp"
#include "preimage/bo/hyperband.hpp"
#include "task/instructions.hpp"

namespace preimage::lipo {

// A candidate at one stage of one bracket.
struct LadderEntry {
  int64_t bracket = 0, stage = 0, items = 0;
  int64_t candidate = 0;
  int64_t number = 0;  // of the proposal, over the run
  bool by_model = false;
  double score = 0;  // expected improvement it was proposed with; NaN without a model
  int64_t wrong = 0;
  int64_t calls = 0;  // that this evaluation took
  bool kept = false;  // for the next stage, or to the end
};

class Ladder {
 public:
  Ladder(const bo::HyperbandOptions& options, int64_t items, int64_t pool);

  bool finished() const { return bracket_ == std::ssize(brackets_); }
  // Proposals that can be made at once, because the model's data does not change between them; 0:
  // evaluations come next.
  int64_t proposals_wanted() const;
  int64_t next_number() const { return number_; }
  int64_t bracket() const { return brackets_[static_cast<size_t>(bracket_)].s; }
  // Candidates that this bracket has not proposed, ascending.
  std::vector<int64_t> free() const;
  std::vector<bo::ErrorCount> observations() const;

  struct Proposed {
    int64_t candidate = 0;
    bool by_model = false;
    double score = 0;
  };
  void propose(const std::vector<Proposed>& proposed);

  // What is to be evaluated now: candidates, on their first `items`.
  struct Wanted {
    std::vector<int64_t> candidates;
    int64_t items = 0;
  };
  Wanted evaluations() const;
  // The results of all of them are in `bits`.
  void evaluated(const BitTable& bits, const std::vector<Instruction>& pool);

  const bo::ErrorCounts& counts() const { return counts_; }
  const std::vector<LadderEntry>& entries() const { return entries_; }
  CallLedger ledger;  // what it paid
  std::vector<int64_t> fidelities() const;
  // The candidate of lowest error at the first stage of the first bracket: what looking at few
  // items once would have chosen; -1 before.
  int64_t first_choice() const { return first_choice_; }

 private:
  const bo::HyperbandBracket& now() const { return brackets_[static_cast<size_t>(bracket_)]; }
  const bo::HyperbandStage& stage() const { return now().stages[static_cast<size_t>(stage_)]; }
  void advance();

  bo::HyperbandOptions options_;
  int64_t items_, pool_;
  std::vector<bo::HyperbandBracket> brackets_;
  int64_t bracket_ = 0, stage_ = 0;
  int64_t number_ = 0;                        // proposals so far
  std::vector<LadderEntry> bracket_entries_;  // of the present stage, as proposed or kept
  int64_t evaluated_ = 0;                     // of them
  bo::ErrorCounts counts_;
  std::vector<LadderEntry> entries_;  // finished
  int64_t first_choice_ = -1;
};

}  // namespace preimage::lipo
