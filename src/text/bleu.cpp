#include "preimage/text/bleu.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "ngram_counts.hpp"
#include "preimage/base/error.hpp"

namespace preimage::text {
namespace {

using Numbered = std::vector<int64_t>;

std::vector<Numbered> numbered(std::span<const Words> texts) {
  WordNumbers numbers;
  std::vector<Numbered> out;
  for (const auto& text : texts) out.push_back(numbers(text));
  return out;
}

int64_t closest_length(int64_t length, const std::vector<const Numbered*>& references) {
  int64_t best = std::ssize(*references.front());
  for (const auto* reference : references) {
    const int64_t other = std::ssize(*reference);
    const int64_t gap = std::abs(other - length), least = std::abs(best - length);
    if (gap < least || (gap == least && other < best)) best = other;
  }
  return best;
}

// Matches of the hypothesis' n-grams, each counted at most as often as the reference that has it
// most often.
double clipped_matches(const NgramCounts& hypothesis,
                       const std::vector<const Numbered*>& references, int64_t n) {
  NgramCounts most;
  for (const auto* reference : references) {
    for (const auto& [ngram, count] : ngram_counts(*reference, n)) {
      auto& known = most[ngram];
      known = std::max(known, count);
    }
  }
  int64_t matches = 0;
  for (const auto& [ngram, count] : hypothesis) matches += std::min(count, count_of(most, ngram));
  return static_cast<double>(matches);
}

double bleu_of(const Numbered& hypothesis, const std::vector<const Numbered*>& references,
               const BleuOptions& options) {
  const int64_t length = std::ssize(hypothesis);
  if (length < options.order) return 0;  // no n-gram of the longest kind
  double logs = 0;
  for (int64_t n = 1; n <= options.order; ++n) {
    const double matches = clipped_matches(ngram_counts(hypothesis, n), references, n);
    logs +=
        std::log((matches > 0 ? matches : options.smoothing) / static_cast<double>(length - n + 1));
  }
  const int64_t reference = closest_length(length, references);
  const double brevity =
      length > reference ? 0 : 1 - static_cast<double>(reference) / static_cast<double>(length);
  return std::exp(brevity + logs / static_cast<double>(options.order));
}

}  // namespace

double bleu(const Words& hypothesis, std::span<const Words> references,
            const BleuOptions& options) {
  base::check(!references.empty() && options.order >= 1, "BLEU compares with a reference");
  std::vector<Words> all = {hypothesis};
  all.insert(all.end(), references.begin(), references.end());
  const auto texts = numbered(all);
  std::vector<const Numbered*> others;
  for (size_t i = 1; i < texts.size(); ++i) others.push_back(&texts[i]);
  return bleu_of(texts.front(), others, options);
}

std::vector<double> self_bleu(std::span<const Words> texts, const BleuOptions& options) {
  base::check(texts.size() >= 2 && options.order >= 1, "self-BLEU compares texts with each other");
  const auto all = numbered(texts);
  std::vector<double> out;
  for (size_t i = 0; i < all.size(); ++i) {
    std::vector<const Numbered*> others;
    for (size_t j = 0; j < all.size(); ++j) {
      if (j != i) others.push_back(&all[j]);
    }
    out.push_back(bleu_of(all[i], others, options));
  }
  return out;
}

}  // namespace preimage::text
