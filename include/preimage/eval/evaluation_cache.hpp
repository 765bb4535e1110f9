// Evaluations that need not be made again, known alike on every rank.
//
// A pure fold: Search::tell() puts in what units committed, in unit order, and
// PromptEvaluator looks in during Search::evaluate(). So the journal and the segments are where the
// cache lives: it survives a kill, a resumed run has it again when its waves are replayed, and
// every rank sees at a wave's end what all have committed. No file, no message of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "preimage/eval/evaluation.hpp"

namespace preimage::eval {

// By fold, so the same on every rank and after a resume. In answers, n of a request.
struct EvaluationCounts {
  int64_t calls_requested = 0;  // answers that were asked for
  int64_t calls_executed = 0;   // answers that were new
  int64_t cache_hits = 0;       // the difference
  int64_t nll_passes = 0;       // losses that were new
};
EvaluationCounts& operator+=(EvaluationCounts& sum, const EvaluationCounts& other);

class EvaluationCache {
 public:
  // Folds in one committed evaluation, and says what it cost: nothing where its key is known.
  // `counts` of budgets and stopping rules are sums of these, never of what a process happened to
  // run.
  EvaluationCounts tell(Evaluation evaluation);

  const Evaluation* find(const std::string& key) const;  // null: not known
  int64_t size() const { return static_cast<int64_t>(known_.size()); }
  const EvaluationCounts& counts() const { return counts_; }

 private:
  std::unordered_map<std::string, Evaluation> known_;
  EvaluationCounts counts_;
};

}  // namespace preimage::eval
