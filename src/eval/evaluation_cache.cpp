#include "preimage/eval/evaluation_cache.hpp"

#include <utility>

namespace preimage::eval {

EvaluationCounts& operator+=(EvaluationCounts& sum, const EvaluationCounts& other) {
  sum.calls_requested += other.calls_requested;
  sum.calls_executed += other.calls_executed;
  sum.cache_hits += other.cache_hits;
  sum.nll_passes += other.nll_passes;
  return sum;
}

EvaluationCounts EvaluationCache::tell(Evaluation evaluation) {
  const auto calls = std::ssize(evaluation.answers);
  const bool nll = evaluation.has_nll;
  auto key = evaluation.key;
  const bool fresh = known_.try_emplace(std::move(key), std::move(evaluation)).second;
  const EvaluationCounts cost{.calls_requested = calls,
                              .calls_executed = fresh ? calls : 0,
                              .cache_hits = fresh ? 0 : calls,
                              .nll_passes = fresh && nll ? 1 : 0};
  counts_ += cost;
  return cost;
}

const Evaluation* EvaluationCache::find(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() ? nullptr : &found->second;
}

}  // namespace preimage::eval
