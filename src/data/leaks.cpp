// Near-duplicate problems across splits.
#include <algorithm>
#include <set>

#include "preimage/base/utf8.hpp"
#include "preimage/data/programs.hpp"

namespace preimage::data {
namespace {

constexpr size_t kGram = 3;  // words

// Lower-cased runs of ASCII letters and digits; other characters beyond ASCII belong to words as
// they are.
std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> out;
  bool inside = false;
  for (const char c : text) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool word = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      static_cast<unsigned char>(c) >= 0x80;
    if (word && !inside) out.emplace_back();
    if (word) out.back() += upper ? static_cast<char>(c - 'A' + 'a') : c;
    inside = word;
  }
  return out;
}

// Texts of fewer words than a gram are one gram.
std::set<std::string> grams_of(const std::string& text) {
  const auto words = words_of(text);
  const size_t size = std::min(kGram, words.size());
  std::set<std::string> out;
  for (size_t i = 0; i + size <= words.size(); ++i) {
    std::string gram;
    for (size_t j = 0; j < size; ++j) gram += words[i + j] + " ";
    out.insert(std::move(gram));
  }
  return out;
}

double jaccard(const std::set<std::string>& a, const std::set<std::string>& b) {
  size_t common = 0;
  for (const auto& gram : a) common += b.count(gram);
  const size_t all = a.size() + b.size() - common;
  return all == 0 ? 1 : static_cast<double>(common) / static_cast<double>(all);
}

}  // namespace

std::vector<Leak> find_leaks(const std::vector<ProgramProblem>& problems, double limit) {
  std::vector<std::set<std::string>> grams;
  for (const auto& problem : problems) grams.push_back(grams_of(problem.text));
  std::vector<Leak> out;
  for (size_t i = 0; i < problems.size(); ++i) {
    for (size_t j = i + 1; j < problems.size(); ++j) {
      if (problems[i].split == problems[j].split) continue;
      // |A and B| / |A or B| is at most the quotient of their sizes: most pairs end here.
      const auto [low, high] = std::minmax({grams[i].size(), grams[j].size()});
      if (static_cast<double>(low) < limit * static_cast<double>(high)) continue;
      const double index = jaccard(grams[i], grams[j]);
      if (index > limit || index == 1) out.push_back({i, j, index});  // equal ones at any limit
    }
  }
  return out;
}

}  // namespace preimage::data
