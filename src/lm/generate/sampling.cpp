#include "preimage/lm/generate/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();
// The share of top_p that must be reached: tokens whose probabilities make it exactly are enough,
// however their sum rounds.
constexpr double kNearlyOne = 1 - 0x1p-40;

void penalise_repeats(std::span<float> logits, double penalty, std::span<const int64_t> history) {
  std::vector<int64_t> ids(history.begin(), history.end());
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  const auto factor = static_cast<float>(penalty);
  for (const int64_t id : ids) {
    float& logit = logits[static_cast<size_t>(id)];
    logit = logit < 0 ? logit * factor : logit / factor;
  }
}

void ban_repeated_ngrams(std::span<float> logits, int64_t n, std::span<const int64_t> history) {
  const auto length = static_cast<int64_t>(history.size());
  if (length < n) return;
  const auto tail = history.subspan(static_cast<size_t>(length - n + 1));
  for (int64_t i = 0; i + n <= length; ++i) {
    if (std::equal(tail.begin(), tail.end(), history.begin() + i))
      logits[static_cast<size_t>(history[static_cast<size_t>(i + n - 1)])] = kRemoved;
  }
}

void remove_below(std::span<float> logits, float bound) {
  for (float& logit : logits) {
    if (logit < bound) logit = kRemoved;
  }
}

void keep_top_k(std::span<float> logits, int64_t k) {
  if (k >= static_cast<int64_t>(logits.size())) return;
  std::vector<float> order(logits.begin(), logits.end());
  const auto kth = order.begin() + (k - 1);
  std::nth_element(order.begin(), kth, order.end(), std::greater<>());
  remove_below(logits, *kth);
}

// The smallest set of the best tokens whose probabilities reach p: taken off a heap, so that the
// vocabulary is never sorted.
void keep_top_p(std::span<float> logits, double p) {
  std::vector<std::pair<float, int64_t>> heap;  // logit and minus id: of a tie the lower id first
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > kRemoved) heap.emplace_back(logits[i], -static_cast<int64_t>(i));
  }
  if (heap.empty()) return;
  std::make_heap(heap.begin(), heap.end());
  const double best = heap.front().first;
  double total = 0;
  for (const float logit : logits) total += std::exp(logit - best);
  double kept = 0;
  std::vector<float> out(logits.size(), kRemoved);
  do {
    std::pop_heap(heap.begin(), heap.end());
    const auto [logit, id] = heap.back();
    heap.pop_back();
    out[static_cast<size_t>(-id)] = logit;
    kept += std::exp(logit - best);
  } while (!heap.empty() && kept < p * kNearlyOne * total);
  std::copy(out.begin(), out.end(), logits.begin());
}

constexpr size_t kChunk = 256;

// The maximum of a whole chunk, lane by lane as the compiler has vectors for it.
float largest(const float* chunk) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes];
  std::copy_n(chunk, kLanes, lanes);
  for (size_t i = kLanes; i < kChunk; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane)
      lanes[lane] = chunk[i + lane] > lanes[lane] ? chunk[i + lane] : lanes[lane];
  }
  return *std::max_element(lanes, lanes + kLanes);
}

// As std::max_element.
int64_t first_of_largest(std::span<const float> logits) {
  const auto best_of = [&](size_t first, size_t end) {
    return static_cast<size_t>(std::max_element(logits.data() + first, logits.data() + end) -
                               logits.data());
  };
  const size_t whole = logits.size() / kChunk * kChunk;
  size_t best = best_of(whole - std::min(whole, kChunk), logits.size());
  for (size_t end = whole; end > 0; end -= kChunk) {
    // From the last chunk to the first: of equal logits the first one stays.
    const size_t first = end - kChunk;
    if (largest(logits.data() + first) >= logits[best]) best = best_of(first, end);
  }
  return static_cast<int64_t>(best);
}

}  // namespace

void require_sampling(const SamplingOptions& o, const std::string& what) {
  const auto require = [&](bool holds, const char* name, double found, const char* rule) {
    if (!holds)
      throw base::data_error(
          base::str(what, ": ", name, " is ", base::shortest(found), ", ", rule));
  };
  require(o.temperature >= 0 && std::isfinite(o.temperature), "temperature", o.temperature,
          "expected 0 or above");
  require(o.top_k >= 0, "top_k", static_cast<double>(o.top_k), "expected 0 or above");
  require(o.top_p > 0 && o.top_p <= 1, "top_p", o.top_p, "expected above 0, at most 1");
  require(o.min_p >= 0 && o.min_p <= 1, "min_p", o.min_p, "expected 0 to 1");
  require(o.repetition_penalty > 0 && std::isfinite(o.repetition_penalty), "repetition_penalty",
          o.repetition_penalty, "expected above 0");
  require(o.no_repeat_ngram >= 0, "no_repeat_ngram", static_cast<double>(o.no_repeat_ngram),
          "expected 0 or above");
}

void process_logits(std::span<float> logits, const SamplingOptions& o,
                    std::span<const int64_t> history) {
  if (o.repetition_penalty != 1) penalise_repeats(logits, o.repetition_penalty, history);
  if (o.no_repeat_ngram > 0) ban_repeated_ngrams(logits, o.no_repeat_ngram, history);
  if (o.greedy()) return;
  const auto temperature = static_cast<float>(o.temperature);
  for (float& logit : logits) logit /= temperature;
  if (o.top_k > 0) keep_top_k(logits, o.top_k);
  if (o.top_p < 1) keep_top_p(logits, o.top_p);
  if (o.min_p > 0) {
    const float best = *std::max_element(logits.begin(), logits.end());
    remove_below(logits, best + static_cast<float>(std::log(o.min_p)));
  }
}

int64_t pick_token(std::span<const float> processed, const SamplingOptions& o, double uniform) {
  const auto best = processed.begin() + first_of_largest(processed);
  if (o.greedy() || !(*best > kRemoved)) return best - processed.begin();
  double total = 0;
  for (const float logit : processed) total += std::exp(static_cast<double>(logit - *best));
  double left = uniform * total;
  int64_t last = best - processed.begin();
  for (size_t i = 0; i < processed.size(); ++i) {
    if (!(processed[i] > kRemoved)) continue;
    last = static_cast<int64_t>(i);
    left -= std::exp(static_cast<double>(processed[i] - *best));
    if (left < 0) return last;
  }
  return last;  // rounding left a crumb
}

double sampling_uniform(uint64_t seed, int64_t index, int64_t step) {
  const base::RandomStream stream(seed, std::to_string(index), "sampling");
  return stream.uniform(static_cast<uint64_t>(step));
}

}  // namespace preimage::lm
