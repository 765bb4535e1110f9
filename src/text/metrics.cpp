#include "preimage/text/metrics.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <set>

#include "preimage/base/utf8.hpp"

namespace preimage::text {
namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

// str.isspace() of Python.
bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

// \w of Python's re: letters, numbers, underscore; no combining marks.
bool is_word(char32_t c) {
  const auto kind = category(c);
  return c == '_' || (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO) ||
         (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO);
}

bool is_ascii_punctuation(char32_t c) {
  return (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) ||
         (c >= 0x7B && c <= 0x7E);
}

bool is_cased(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LT;
}

// Passed over when the neighbours of a sigma are looked at (Unicode 3.13, Case_Ignorable).
bool is_case_ignorable(char32_t c) {
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_ME ||
         kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_LM ||
         kind == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' || c == 0xB7 ||
         c == 0x2019;
}

bool is_final_sigma(const std::u32string& text, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(text[before - 1])) --before;
  if (before == 0 || !is_cased(text[before - 1])) return false;
  size_t after = at + 1;
  while (after < text.size() && is_case_ignorable(text[after])) ++after;
  return after == text.size() || !is_cased(text[after]);
}

// str.lower() of Python: the full mapping, with the final sigma.
std::u32string lowered(std::string_view bytes) {
  const auto points = base::decode_utf8(base::replace_invalid_utf8(bytes));
  const std::u32string text(points.begin(), points.end());
  std::u32string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == 0x130) {
      out += U"i\u0307";
    } else if (c == 0x3A3) {
      out += is_final_sigma(text, i) ? U'\u03C2' : U'\u03C3';
    } else {
      out += static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
    }
  }
  return out;
}

// Articles replaced by spaces, white space collapsed.
std::string without_articles(const std::u32string& text) {
  std::u32string out;
  const auto put_space = [&] {
    if (!out.empty() && out.back() != U' ') out += U' ';
  };
  for (size_t i = 0; i < text.size();) {
    if (!is_word(text[i])) {
      if (is_space(text[i])) {
        put_space();
      } else {
        out += text[i];
      }
      ++i;
      continue;
    }
    size_t end = i;
    while (end < text.size() && is_word(text[end])) ++end;
    const auto word = text.substr(i, end - i);
    if (word == U"a" || word == U"an" || word == U"the") {
      put_space();
    } else {
      out += word;
    }
    i = end;
  }
  while (!out.empty() && out.back() == U' ') out.pop_back();
  std::string bytes;
  for (const char32_t c : out) base::append_utf8(c, bytes);
  return bytes;
}

double f1_of(const std::vector<std::string>& prediction, const std::vector<std::string>& target) {
  if (prediction.empty() || target.empty()) return prediction.empty() && target.empty() ? 1 : 0;
  std::map<std::string, int64_t> counts;
  for (const auto& word : target) ++counts[word];
  int64_t same = 0;
  for (const auto& word : prediction) same += counts[word]-- > 0 ? 1 : 0;
  if (same == 0) return 0;
  const double precision = static_cast<double>(same) / static_cast<double>(prediction.size());
  const double recall = static_cast<double>(same) / static_cast<double>(target.size());
  return 2 * precision * recall / (precision + recall);
}

template <class T>
bool any_repeats(const std::vector<T>& items, size_t n, size_t times) {
  if (n == 0 || items.size() < n) return false;
  std::map<std::vector<T>, size_t> counts;
  for (size_t i = 0; i + n <= items.size(); ++i) {
    const auto begin = items.begin() + static_cast<ptrdiff_t>(i);
    if (++counts[std::vector<T>(begin, begin + static_cast<ptrdiff_t>(n))] >= times) return true;
  }
  return false;
}

std::string trimmed(std::string_view text) {
  std::string out;
  for (const auto& word : white_space_words(text)) out += (out.empty() ? "" : " ") + word;
  return out;
}

}  // namespace

std::vector<std::string> white_space_words(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char32_t c : base::decode_utf8(base::replace_invalid_utf8(text))) {
    if (!is_space(c)) {
      base::append_utf8(c, words.back());
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

std::string squad_normalize(std::string_view text) {
  std::u32string lower = lowered(text);
  std::erase_if(lower, is_ascii_punctuation);
  return without_articles(lower);
}

std::string trivia_normalize(std::string_view text) {
  std::u32string lower = lowered(text);
  for (auto& c : lower) {
    if (is_ascii_punctuation(c) || c == 0x2018 || c == 0x2019 || c == 0xB4) c = U' ';
  }
  return without_articles(lower);
}

bool exact_match(std::string_view prediction, std::string_view target) {
  return squad_normalize(prediction) == squad_normalize(target);
}

double token_f1(std::string_view prediction, std::string_view target) {
  return f1_of(white_space_words(squad_normalize(prediction)),
               white_space_words(squad_normalize(target)));
}

double best_exact_match(std::string_view prediction, const std::vector<std::string>& targets) {
  return std::any_of(targets.begin(), targets.end(),
                     [&](const auto& target) { return exact_match(prediction, target); });
}

double best_token_f1(std::string_view prediction, const std::vector<std::string>& targets) {
  double best = 0;
  for (const auto& target : targets) best = std::max(best, token_f1(prediction, target));
  return best;
}

bool repeats(const std::vector<int64_t>& ids, size_t n, size_t times) {
  return any_repeats(ids, n, times);
}

bool repeats_words(std::string_view text, size_t n, size_t times) {
  return any_repeats(white_space_words(text), n, times);
}

const char* grade_name(Grade grade) {
  return grade == Grade::pass ? "pass" : grade == Grade::partial ? "partial" : "fail";
}

Grade grade_answer(std::string_view output, std::string_view target, std::optional<double> cosine) {
  const auto out = white_space_words(squad_normalize(output));
  const auto wanted = white_space_words(squad_normalize(target));
  if (out.empty() || wanted.empty()) {
    return trimmed(output) == trimmed(target) ? Grade::pass : Grade::fail;
  }
  const double f1 = f1_of(out, wanted);
  if (out == wanted || f1 >= 0.8 || (cosine && *cosine >= 0.9 && f1 >= 0.5)) return Grade::pass;
  const bool prefix =
      out.size() > wanted.size() && std::equal(wanted.begin(), wanted.end(), out.begin());
  return f1 >= 0.3 || prefix ? Grade::partial : Grade::fail;
}

}  // namespace preimage::text
