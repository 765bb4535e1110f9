#include "preimage/text/copying.hpp"

#include <algorithm>
#include <vector>

#include "ngram_counts.hpp"
#include "preimage/base/error.hpp"
#include "preimage/text/code_tokens.hpp"

namespace preimage::text {
namespace {

double overlap_of(const std::vector<int64_t>& prompt, const std::vector<int64_t>& target,
                  int64_t n) {
  const auto theirs = ngram_counts(target, n);
  int64_t shared = 0, all = 0;
  for (const auto& [ngram, count] : ngram_counts(prompt, n)) {
    shared += std::min(count, count_of(theirs, ngram));
    all += count;
  }
  return static_cast<double>(shared) / static_cast<double>(std::max<int64_t>(1, all));
}

int64_t run_of(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  // ends[j]: the run that ends at a[i] and b[j - 1].
  std::vector<int64_t> ends(b.size() + 1, 0);
  int64_t longest = 0;
  for (const int64_t symbol : a) {
    for (size_t j = b.size(); j > 0; --j) {
      ends[j] = symbol == b[j - 1] ? ends[j - 1] + 1 : 0;
      longest = std::max(longest, ends[j]);
    }
  }
  return longest;
}

}  // namespace

double ngram_overlap(std::span<const std::string> prompt, std::span<const std::string> target,
                     int64_t n) {
  base::check(n >= 1, "an n-gram has at least one token");
  WordNumbers numbers;
  const auto p = numbers(prompt);
  return overlap_of(p, numbers(target), n);
}

int64_t longest_common_run(std::span<const std::string> a, std::span<const std::string> b) {
  WordNumbers numbers;
  const auto left = numbers(a);
  return run_of(left, numbers(b));
}

Copying copying(std::string_view prompt, std::string_view target) {
  WordNumbers numbers;
  const auto p = numbers(code_tokens(prompt)), t = numbers(code_tokens(target));
  Copying out{.prompt_tokens = std::ssize(p), .target_tokens = std::ssize(t)};
  for (const int64_t n : {3, 4, 5}) out.overlap = std::max(out.overlap, overlap_of(p, t, n));
  out.longest_run = run_of(p, t);
  return out;
}

bool is_no_copy(const Copying& copying, const CopyLimits& limits) {
  const double run = std::max(static_cast<double>(limits.run),
                              limits.run_share * static_cast<double>(copying.target_tokens));
  return copying.overlap <= limits.overlap && static_cast<double>(copying.longest_run) < run;
}

}  // namespace preimage::text
