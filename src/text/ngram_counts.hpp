// How often each n-gram stands in a list of words.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace preimage::text {

// Words as numbers, the same number for the same word in all lists that one object has seen.
class WordNumbers {
 public:
  std::vector<int64_t> operator()(std::span<const std::string> words) {
    std::vector<int64_t> out;
    out.reserve(words.size());
    for (const auto& word : words) out.push_back(numbers_.try_emplace(word, next()).first->second);
    return out;
  }

 private:
  int64_t next() const { return static_cast<int64_t>(numbers_.size()); }
  std::map<std::string, int64_t> numbers_;
};

using NgramCounts = std::map<std::vector<int64_t>, int64_t>;

inline NgramCounts ngram_counts(const std::vector<int64_t>& words, int64_t n) {
  NgramCounts counts;
  for (int64_t i = 0; i + n <= std::ssize(words); ++i)
    ++counts[{words.begin() + i, words.begin() + i + n}];
  return counts;
}

inline int64_t count_of(const NgramCounts& counts, const std::vector<int64_t>& ngram) {
  const auto found = counts.find(ngram);
  return found == counts.end() ? 0 : found->second;
}

}  // namespace preimage::text
