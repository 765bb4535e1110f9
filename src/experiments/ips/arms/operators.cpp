#include "operators.hpp"

#include <algorithm>

#include "preimage/base/str.hpp"
#include "prompt_source.hpp"

namespace preimage::ips {
namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

using Ids = std::vector<int64_t>;

std::string text_of(const text::Tokenizer& tokenizer, const Ids& ids) {
  return tidy(tokenizer.decode(ids));
}

Ids range(const Ids& ids, int64_t begin, int64_t end) {
  return {ids.begin() + begin, ids.begin() + end};
}

// Tokens [begin, end) of a prompt behind a text. A prompt's first token has no space of its own.
std::string followed_by(std::string before, const text::Tokenizer& tokenizer, const Ids& ids,
                        int64_t begin, int64_t end) {
  if (begin == 0 && !before.empty()) before += " ";
  return before + tokenizer.decode(range(ids, begin, end));
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (size_t i = 0; i < text.size();) {
    while (i < text.size() && is_space(text[i])) ++i;
    const size_t begin = i;
    while (i < text.size() && !is_space(text[i])) ++i;
    if (i > begin) words.emplace_back(text.substr(begin, i - begin));
  }
  return words;
}

std::string tidy(std::string_view text) {
  return base::join(split_words(text), " ");
}

std::string folded(std::string_view text) {
  auto out = tidy(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Ids prompt_tokens(const text::Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.encode(text, {.parse_special = false});
}

std::string cut(const text::Tokenizer& tokenizer, const std::string& text, int64_t most) {
  const auto ids = prompt_tokens(tokenizer, text);
  // A beginning may have more tokens of its own than it was given: then one less is tried.
  for (int64_t take = std::min(most, std::ssize(ids)); take > 0; --take) {
    auto out = text_of(tokenizer, range(ids, 0, take));
    if (std::ssize(prompt_tokens(tokenizer, out)) <= most) return out;
  }
  return "";
}

std::string swap_synonyms(const std::string& text, const PromptSource& prompts, double p,
                          Draws& draws) {
  auto words = split_words(text);
  for (auto& word : words) {
    if (draws.chance(p)) word = prompts.synonym(word, draws);
  }
  return base::join(words, " ");
}

std::string delete_span(const std::string& text, Draws& draws) {
  auto words = split_words(text);
  if (words.empty()) return "";
  const int64_t count = std::min<int64_t>(1 + draws.below(3), std::ssize(words));
  const int64_t begin = draws.below(std::ssize(words) - count + 1);
  words.erase(words.begin() + begin, words.begin() + begin + count);
  return base::join(words, " ");
}

std::string shuffle_clause(const std::string& text, Draws& draws) {
  std::vector<std::pair<size_t, size_t>> clauses;  // half open
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find_first_of(",;:.", begin), text.size());
    if (split_words(std::string_view(text).substr(begin, end - begin)).size() > 1)
      clauses.emplace_back(begin, end);
    begin = end + 1;
  }
  if (clauses.empty()) return text;
  const auto [begin, end] = draws.pick(clauses);
  const auto words = split_words(std::string_view(text).substr(begin, end - begin));
  std::vector<std::string> shuffled;
  for (const int64_t i : draws.permutation(std::ssize(words)))
    shuffled.push_back(words[static_cast<size_t>(i)]);
  return tidy(text.substr(0, begin) + " " + base::join(shuffled, " ") + text.substr(end));
}

std::string drop_tokens(const text::Tokenizer& tokenizer, const std::string& text, double p,
                        Draws& draws) {
  Ids kept;
  for (const int64_t id : prompt_tokens(tokenizer, text)) {
    if (!draws.chance(p)) kept.push_back(id);
  }
  return text_of(tokenizer, kept);
}

std::string insert_word(const std::string& text, const PromptSource& prompts, Draws& draws) {
  auto words = split_words(text);
  const int64_t at = draws.below(std::ssize(words) + 1);
  words.insert(words.begin() + at, prompts.word(draws));
  return base::join(words, " ");
}

std::string splice(const text::Tokenizer& tokenizer, const std::string& a, const std::string& b,
                   Draws& draws) {
  const auto left = prompt_tokens(tokenizer, a), right = prompt_tokens(tokenizer, b);
  const int64_t i = draws.below(std::ssize(left) + 1), j = draws.below(std::ssize(right) + 1);
  return tidy(
      followed_by(tokenizer.decode(range(left, 0, i)), tokenizer, right, j, std::ssize(right)));
}

std::string exchange_segment(const text::Tokenizer& tokenizer, const std::string& a,
                             const std::string& b, int64_t longest, Draws& draws) {
  const auto segment = [&](const Ids& ids) {
    const int64_t size = draws.below(std::min(longest, std::ssize(ids)) + 1);
    const int64_t begin = draws.below(std::ssize(ids) - size + 1);
    return std::pair{begin, begin + size};
  };
  const auto left = prompt_tokens(tokenizer, a), right = prompt_tokens(tokenizer, b);
  const auto [begin, end] = segment(left);
  const auto [from, to] = segment(right);
  const auto middle =
      followed_by(tokenizer.decode(range(left, 0, begin)), tokenizer, right, from, to);
  return tidy(followed_by(middle, tokenizer, left, end, std::ssize(left)));
}

}  // namespace preimage::ips
