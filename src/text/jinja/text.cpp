#include "jinja/text.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <map>

#include "preimage/base/utf8.hpp"

namespace preimage::text::jinja {
namespace {

using base::append_utf8;
using base::decode_utf8;

constexpr char32_t kSigma = 0x3A3, kFinalSigma = 0x3C2;

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}
char32_t simple_upper(char32_t c) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
}
char32_t simple_lower(char32_t c) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

bool is_lower_letter(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA;
}
bool is_upper_letter(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU;
}
bool is_cased(char32_t c) {
  return is_lower_letter(c) || is_upper_letter(c) || category(c) == UTF8PROC_CATEGORY_LT;
}
bool is_letter(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t c) {
  return is_decimal(c) || c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
         (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) ||
         (c >= 0x2460 && c <= 0x2468) || (c >= 0x2474 && c <= 0x247C);
}
bool is_numeric(char32_t c) {
  const auto kind = category(c);
  return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

// SpecialCasing.txt (Unicode 15): characters whose upper case is longer.
const std::map<char32_t, const char*>& long_uppers() {
  static const std::map<char32_t, const char*> table = {
      {0xDF, "SS"},   {0x149, "ʼN"},  {0x1F0, "J̌"},   {0x390, "Ϊ́"},    {0x3B0, "Ϋ́"},
      {0x587, "ԵՒ"},  {0x1E96, "H̱"},  {0x1E97, "T̈"},  {0x1E98, "W̊"},   {0x1E99, "Y̊"},
      {0x1E9A, "Aʾ"}, {0x1F50, "Υ̓"},  {0x1F52, "Υ̓̀"},  {0x1F54, "Υ̓́"},   {0x1F56, "Υ̓͂"},
      {0x1F80, "ἈΙ"}, {0x1F81, "ἉΙ"}, {0x1F82, "ἊΙ"}, {0x1F83, "ἋΙ"},  {0x1F84, "ἌΙ"},
      {0x1F85, "ἍΙ"}, {0x1F86, "ἎΙ"}, {0x1F87, "ἏΙ"}, {0x1F88, "ἈΙ"},  {0x1F89, "ἉΙ"},
      {0x1F8A, "ἊΙ"}, {0x1F8B, "ἋΙ"}, {0x1F8C, "ἌΙ"}, {0x1F8D, "ἍΙ"},  {0x1F8E, "ἎΙ"},
      {0x1F8F, "ἏΙ"}, {0x1F90, "ἨΙ"}, {0x1F91, "ἩΙ"}, {0x1F92, "ἪΙ"},  {0x1F93, "ἫΙ"},
      {0x1F94, "ἬΙ"}, {0x1F95, "ἭΙ"}, {0x1F96, "ἮΙ"}, {0x1F97, "ἯΙ"},  {0x1F98, "ἨΙ"},
      {0x1F99, "ἩΙ"}, {0x1F9A, "ἪΙ"}, {0x1F9B, "ἫΙ"}, {0x1F9C, "ἬΙ"},  {0x1F9D, "ἭΙ"},
      {0x1F9E, "ἮΙ"}, {0x1F9F, "ἯΙ"}, {0x1FA0, "ὨΙ"}, {0x1FA1, "ὩΙ"},  {0x1FA2, "ὪΙ"},
      {0x1FA3, "ὫΙ"}, {0x1FA4, "ὬΙ"}, {0x1FA5, "ὭΙ"}, {0x1FA6, "ὮΙ"},  {0x1FA7, "ὯΙ"},
      {0x1FA8, "ὨΙ"}, {0x1FA9, "ὩΙ"}, {0x1FAA, "ὪΙ"}, {0x1FAB, "ὫΙ"},  {0x1FAC, "ὬΙ"},
      {0x1FAD, "ὭΙ"}, {0x1FAE, "ὮΙ"}, {0x1FAF, "ὯΙ"}, {0x1FB2, "ᾺΙ"},  {0x1FB3, "ΑΙ"},
      {0x1FB4, "ΆΙ"}, {0x1FB6, "Α͂"},  {0x1FB7, "Α͂Ι"}, {0x1FBC, "ΑΙ"},  {0x1FC2, "ῊΙ"},
      {0x1FC3, "ΗΙ"}, {0x1FC4, "ΉΙ"}, {0x1FC6, "Η͂"},  {0x1FC7, "Η͂Ι"},  {0x1FCC, "ΗΙ"},
      {0x1FD2, "Ϊ̀"},  {0x1FD3, "Ϊ́"},  {0x1FD6, "Ι͂"},  {0x1FD7, "Ϊ͂"},   {0x1FE2, "Ϋ̀"},
      {0x1FE3, "Ϋ́"},  {0x1FE4, "Ρ̓"},  {0x1FE6, "Υ͂"},  {0x1FE7, "Ϋ͂"},   {0x1FF2, "ῺΙ"},
      {0x1FF3, "ΩΙ"}, {0x1FF4, "ΏΙ"}, {0x1FF6, "Ω͂"},  {0x1FF7, "Ω͂Ι"},  {0x1FFC, "ΩΙ"},
      {0xFB00, "FF"}, {0xFB01, "FI"}, {0xFB02, "FL"}, {0xFB03, "FFI"}, {0xFB04, "FFL"},
      {0xFB05, "ST"}, {0xFB06, "ST"}, {0xFB13, "ՄՆ"}, {0xFB14, "ՄԵ"},  {0xFB15, "ՄԻ"},
      {0xFB16, "ՎՆ"}, {0xFB17, "ՄԽ"}};
  return table;
}

void append_upper(char32_t c, std::string& out) {
  if (c >= 0xDF) {
    const auto& table = long_uppers();
    if (const auto it = table.find(c); it != table.end()) {
      out += it->second;
      return;
    }
  }
  append_utf8(simple_upper(c), out);
}

void append_lower(char32_t c, std::string& out) {
  if (c == 0x130) {
    out += "i\xCC\x87";
  } else {
    append_utf8(simple_lower(c), out);
  }
}

void append_title(char32_t c, std::string& out) {
  const auto& table = long_uppers();
  const auto it = table.find(c);
  if (it == table.end()) {
    append_utf8(static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))), out);
    return;
  }
  const auto letters = decode_utf8(it->second);
  append_utf8(letters[0], out);
  for (size_t i = 1; i < letters.size(); ++i) append_lower(letters[i], out);
}

bool is_case_ignorable(char32_t c) {
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_MN || kind == UTF8PROC_CATEGORY_ME ||
         kind == UTF8PROC_CATEGORY_CF || kind == UTF8PROC_CATEGORY_LM ||
         kind == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' || c == 0xB7 ||
         c == 0x2019;
}

// A capital sigma at the end of a word has a small form of its own.
bool ends_word(const std::vector<char32_t>& letters, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(letters[before - 1])) --before;
  if (before == 0 || !is_cased(letters[before - 1])) return false;
  size_t after = at + 1;
  while (after < letters.size() && is_case_ignorable(letters[after])) ++after;
  return after == letters.size() || !is_cased(letters[after]);
}

void append_lower(const std::vector<char32_t>& letters, size_t at, std::string& out) {
  if (letters[at] == kSigma && ends_word(letters, at)) {
    append_utf8(kFinalSigma, out);
  } else {
    append_lower(letters[at], out);
  }
}

template <class Test>
bool all_of_text(std::string_view text, const Test& test) {
  const auto letters = decode_utf8(text);
  return !letters.empty() && std::all_of(letters.begin(), letters.end(), test);
}

bool is_title_text(const std::vector<char32_t>& letters) {
  bool cased = false, found = false;
  for (const char32_t c : letters) {
    if (is_upper_letter(c) || category(c) == UTF8PROC_CATEGORY_LT) {
      if (cased) return false;
      cased = found = true;
    } else if (is_lower_letter(c)) {
      if (!cased) return false;
    } else {
      cased = false;
    }
  }
  return found;
}

}  // namespace

std::string upper(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : decode_utf8(text)) append_upper(c, out);
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  const auto letters = decode_utf8(text);
  for (size_t i = 0; i < letters.size(); ++i) append_lower(letters, i, out);
  return out;
}

std::string casefold(std::string_view text) {
  std::string out;
  for (const char32_t c : decode_utf8(text)) {
    utf8proc_int32_t folded[8];
    int state = 0;
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), folded, 8,
                                               UTF8PROC_CASEFOLD, &state);
    for (int i = 0; i < count; ++i) append_utf8(static_cast<char32_t>(folded[i]), out);
  }
  return out;
}

std::string swapcase(std::string_view text) {
  std::string out;
  const auto letters = decode_utf8(text);
  for (size_t i = 0; i < letters.size(); ++i) {
    if (is_upper_letter(letters[i])) {
      append_lower(letters, i, out);
    } else {
      append_upper(letters[i], out);
    }
  }
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  const auto letters = decode_utf8(text);
  for (size_t i = 0; i < letters.size(); ++i) {
    if (i == 0) {
      append_title(letters[i], out);
    } else {
      append_lower(letters, i, out);
    }
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  const auto letters = decode_utf8(text);
  bool inside = false;
  for (size_t i = 0; i < letters.size(); ++i) {
    if (inside) {
      append_lower(letters, i, out);
    } else {
      append_title(letters[i], out);
    }
    inside = is_cased(letters[i]);
  }
  return out;
}

std::optional<bool> has_class(const std::string& name, std::string_view text) {
  if (name == "isalpha") return all_of_text(text, is_letter);
  if (name == "isdigit") return all_of_text(text, is_digit);
  if (name == "isdecimal") return all_of_text(text, is_decimal);
  if (name == "isnumeric") return all_of_text(text, is_numeric);
  if (name == "isalnum") {
    return all_of_text(text, [](char32_t c) { return is_letter(c) || is_numeric(c); });
  }
  if (name == "isspace") return all_of_text(text, is_space);
  if (name == "isascii") return is_ascii(text);
  const auto letters = decode_utf8(text);
  const auto any = [&](auto test) { return std::any_of(letters.begin(), letters.end(), test); };
  const auto is_titled = [](char32_t c) { return category(c) == UTF8PROC_CATEGORY_LT; };
  if (name == "islower") return any(is_lower_letter) && !any(is_upper_letter) && !any(is_titled);
  if (name == "isupper") return any(is_upper_letter) && !any(is_lower_letter) && !any(is_titled);
  if (name == "istitle") return is_title_text(letters);
  if (name == "isidentifier") {
    const auto starts = [](char32_t c) { return c == '_' || is_letter(c); };
    return !letters.empty() && starts(letters[0]) && !any([&](char32_t c) {
      return !starts(c) && !is_numeric(c) && category(c) != UTF8PROC_CATEGORY_MN &&
             category(c) != UTF8PROC_CATEGORY_MC;
    });
  }
  return std::nullopt;
}

}  // namespace preimage::text::jinja
