// How much of a prompt is copied from a target: n-gram overlaps and the longest common run.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace preimage::text {

// Share of the n-grams of `prompt` that `target` has too, each at most as often as the target has
// it: sum_g min(count_P(g), count_T(g)) / max(1, sum_g count_P(g)), in [0, 1]. The prompt, which is
// the short one, stands below. n >= 1.
double ngram_overlap(std::span<const std::string> prompt, std::span<const std::string> target,
                     int64_t n);

// Tokens of the longest run (substring, no gaps) that both hold. O(|a| |b|) steps.
int64_t longest_common_run(std::span<const std::string> a, std::span<const std::string> b);

struct Copying {
  double overlap = 0;         // max over n = 3, 4, 5 of ngram_overlap
  int64_t longest_run = 0;    // tokens
  int64_t prompt_tokens = 0;  // of code_tokens, not of a model
  int64_t target_tokens = 0;
};
// Of two texts, over code_tokens.
Copying copying(std::string_view prompt, std::string_view target);

struct CopyLimits {
  double overlap = 0.2;     // at most
  int64_t run = 5;          // a longest run is shorter than this,
  double run_share = 0.05;  // or than this share of the target's tokens, whichever is more
};
bool is_no_copy(const Copying& copying, const CopyLimits& limits = {});

}  // namespace preimage::text
