// How alike two sequences are: longest common subsequence and edit distance, of token ids or of
// code points, 64 places at a time in machine words.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace preimage::text {

// Length of the longest common subsequence (gaps allowed). O(|a| ceil(|b| / 64)) steps: Hyyro,
// "Bit-parallel LCS-length computation revisited", AWOCA 2004.
int64_t lcs_length(std::span<const int32_t> a, std::span<const int32_t> b);
int64_t lcs_length(std::span<const int64_t> a, std::span<const int64_t> b);
// Levenshtein distance: insertions, deletions and substitutions, each at cost 1. The same steps:
// Myers, "A fast bit-vector algorithm for approximate string matching", JACM 1999, in the form of
// Hyyro, "A bit-vector algorithm for computing Levenshtein and Damerau edit distances", 2003.
int64_t levenshtein(std::span<const int32_t> a, std::span<const int32_t> b);
int64_t levenshtein(std::span<const int64_t> a, std::span<const int64_t> b);
// Of Unicode code points. Ill-formed UTF-8 counts as U+FFFD (base::replace_invalid_utf8).
int64_t lcs_length(std::string_view a, std::string_view b);
int64_t levenshtein(std::string_view a, std::string_view b);

// LCS / max(|a|, |b|), in [0, 1]; 1 if both are empty. With the longer side below, what a runaway
// answer adds counts against it.
double lcs_similarity(std::span<const int32_t> a, std::span<const int32_t> b);
double lcs_similarity(std::span<const int64_t> a, std::span<const int64_t> b);
// 1 - Levenshtein / max(|a|, |b|) over code points, in [0, 1]; 1 if both are empty.
double edit_similarity(std::string_view a, std::string_view b);

// One sequence that many are compared with: the table of where each symbol stands in it is made
// once, about a quarter of a comparison's time. Immutable; const calls may run on any number of
// threads at once.
class SequenceMatcher {
 public:
  explicit SequenceMatcher(std::span<const int32_t> sequence);
  explicit SequenceMatcher(std::span<const int64_t> sequence);
  explicit SequenceMatcher(std::string_view text);  // its code points
  SequenceMatcher(SequenceMatcher&&) noexcept;
  SequenceMatcher& operator=(SequenceMatcher&&) noexcept;
  ~SequenceMatcher();

  int64_t size() const;
  int64_t lcs_length(std::span<const int32_t> other) const;
  int64_t lcs_length(std::span<const int64_t> other) const;
  int64_t lcs_length(std::string_view other) const;
  int64_t levenshtein(std::span<const int32_t> other) const;
  int64_t levenshtein(std::span<const int64_t> other) const;
  int64_t levenshtein(std::string_view other) const;

 private:
  struct Table;
  std::unique_ptr<const Table> table_;
};

}  // namespace preimage::text
