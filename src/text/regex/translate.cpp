// Oniguruma (Ruby syntax) to PCRE2. The differences that matter in tokenizer files:
//  \s        White_Space; PCRE2 with UCP also counts U+180E
//  \w        alphabetic, marks, digits, connectors; PCRE2 10.42: letters, numbers, underscore
//  \p{Han}   the script; PCRE2 takes the script extensions
//  \h        a hexadecimal digit; in PCRE2 horizontal space
//  [a&&b]    intersection; [a[b]] union; in PCRE2 literal characters
//  ^ $       at every line; {n,m}+ a repeated repetition, {n}? an optional one, {,n} from zero
#include <array>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "regex/regex.hpp"

namespace preimage::text {
namespace {

const std::set<std::string, std::less<>> kCategories = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd", "Nl",
    "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk",
    "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Cn", "Co", "Cs"};
constexpr std::pair<std::string_view, std::string_view> kLongNames[] = {
    {"Letter", "L"},
    {"Mark", "M"},
    {"Number", "N"},
    {"Punctuation", "P"},
    {"Symbol", "S"},
    {"Separator", "Z"},
    {"Uppercase_Letter", "Lu"},
    {"Lowercase_Letter", "Ll"},
    {"Decimal_Number", "Nd"},
    {"Alphabetic", "Alphabetic"},
    {"White_Space", "White_Space"}};
const std::set<std::string, std::less<>> kScripts = {
    "Han",    "Hiragana", "Katakana", "Hangul",   "Latin",   "Greek",      "Cyrillic", "Arabic",
    "Hebrew", "Thai",     "Lao",      "Khmer",    "Myanmar", "Devanagari", "Bengali",  "Tamil",
    "Telugu", "Armenian", "Georgian", "Ethiopic", "Tibetan", "Mongolian",  "Common",   "Inherited"};
constexpr std::string_view kWordSet = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
// Outside sets Oniguruma also takes these Latin-1 numbers for word characters.
constexpr std::string_view kWordExtra = "\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}";

struct YoungRange {
  std::string_view category;
  uint32_t first, last;
};

#include "regex/tables.inc"

// Members of a set for what Oniguruma (Unicode 16) knows in this category, or in all that begin
// with it, and PCRE2 may not know yet.
std::string young_members(std::string_view category) {
  std::ostringstream out;
  for (const auto& range : kYoungCategories) {
    if (range.category.starts_with(category)) {
      out << std::hex << "\\x{" << range.first << "}-\\x{" << range.last << "}";
    }
  }
  return out.str();
}

std::string word_set() {
  std::string out(kWordSet);
  for (const char* category : {"L", "M", "Nd", "Nl", "Pc"}) out += young_members(category);
  return out;
}

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& place) : in_(pattern), place_(place) {}

  std::string run() {
    while (at_ < in_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw base::data_error(base::str(place_, ": byte ", at_, " of the regular expression: ", what,
                                     " is not supported; ask for this tokenizer by name"));
  }
  char peek(size_t ahead = 0) const { return at_ + ahead < in_.size() ? in_[at_ + ahead] : '\0'; }
  bool starts(std::string_view word) const { return in_.substr(at_, word.size()) == word; }

  void step() {
    const char c = peek();
    if (c == '\\') {
      out_ += escape(false);
    } else if (c == '[') {
      out_ += char_class();
    } else if (c == '(') {
      group();
    } else if (c == '{') {
      interval();
    } else if (c == '^' || c == '$') {
      out_ += c == '^' ? "(?m:^)" : "(?m:$)";
      ++at_;
    } else {
      out_ += c;
      ++at_;
    }
  }

  void group() {
    if (peek(1) != '?') {
      if (peek(1) == '*') refuse("a verb \"(*\"");
      out_ += '(';
      ++at_;
      return;
    }
    for (const std::string_view open :
         {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"}) {
      if (!starts(open)) continue;
      out_ += open;
      at_ += open.size();
      return;
    }
    refuse(base::str("the group \"", in_.substr(at_, 4), "\""));
  }

  static bool digits(std::string_view text) {
    return text.find_first_not_of("0123456789") == text.npos && text.size() <= 4;
  }

  void interval() {
    const size_t close = in_.find('}', at_);
    if (close == in_.npos) refuse("\"{\" without \"}\"");
    const auto body = in_.substr(at_ + 1, close - at_ - 1);
    const size_t comma = body.find(',');
    const auto low = body.substr(0, comma);
    const auto high = comma == body.npos ? low : body.substr(comma + 1);
    if (body.empty() || body == "," || !digits(low) || !digits(high)) refuse("an unescaped \"{\"");
    const char after = close + 1 < in_.size() ? in_[close + 1] : '\0';
    if (after == '+' || (after == '?' && comma == body.npos)) {
      refuse(base::str("the quantifier \"", in_.substr(at_, close + 2 - at_), "\""));
    }
    out_ += base::str("{", low.empty() ? "0" : low, comma == body.npos ? "" : ",",
                      comma == body.npos ? "" : high, "}");
    at_ = close + 1;
  }

  // \p{...}, \P{...}, \p{^...}
  std::string property(bool in_class) {
    bool negated = peek(1) == 'P';
    const size_t close = in_.find('}', at_);
    if (peek(2) != '{' || close == in_.npos) refuse("\\p without {name}");
    std::string name(in_.substr(at_ + 3, close - at_ - 3));
    if (!name.empty() && name[0] == '^') negated = !negated, name.erase(0, 1);
    const std::string open = negated ? "\\P{" : "\\p{";
    std::string inner;
    if (kCategories.contains(name)) inner = name;
    for (const auto& [from, to] : kLongNames) {
      if (name == from) inner = to;
    }
    if (inner.empty() && kScripts.contains(name)) inner = "sc:" + name;
    if (inner.empty()) refuse("the property \"" + name + "\"");
    at_ = close + 1;
    const std::string plain = open + inner + "}";
    const auto young = young_members(inner == "sc:Han" ? "Han" : inner);
    if (young.empty() || (in_class && negated)) return plain;
    const std::string members = "\\p{" + inner + "}" + young;
    return in_class ? members : (negated ? "[^" : "[") + members + "]";
  }

  std::string code_point() {
    const char kind = peek(1);
    size_t begin = at_ + 2;
    const bool braced = kind == 'x' && begin < in_.size() && in_[begin] == '{';
    size_t end = braced ? in_.find('}', ++begin) : begin + (kind == 'u' ? 4 : 2);
    if (end == in_.npos || end > in_.size()) refuse("a short escape");
    const auto hex = in_.substr(begin, end - begin);
    if (hex.empty() || hex.size() > 6 ||
        hex.find_first_not_of("0123456789abcdefABCDEF") != hex.npos) {
      refuse("a malformed escape");
    }
    // Oniguruma reads \xHH as a byte of the encoding: beyond ASCII that is no character.
    if (kind == 'x' && !braced && hex[0] >= '8') refuse("a raw byte escape");
    at_ = braced ? end + 1 : end;
    return base::str("\\x{", hex, "}");
  }

  // One escape; inside a class it must stay a class member.
  std::string escape(bool in_class) {
    const char c = peek(1);
    const auto take = [&](std::string text) {
      at_ += 2;
      return text;
    };
    switch (c) {
      case 's':
        return take("\\p{White_Space}");
      case 'S':
        return take("\\P{White_Space}");
      case 'd':
        return take(in_class ? "\\p{Nd}" + young_members("Nd")
                             : "[\\p{Nd}" + young_members("Nd") + "]");
      case 'D':
        return take("\\P{Nd}");
      case 'w':
        return take(in_class ? word_set() : base::str("[", word_set(), kWordExtra, "]"));
      case 'W':
        if (in_class) refuse("\\W inside a set");
        return take(base::str("[^", word_set(), kWordExtra, "]"));
      case 'p':
      case 'P':
        return property(in_class);
      case 'x':
      case 'u':
        return code_point();
      case 'v':
        return take("\\x{0B}");
      case 'r':
      case 'n':
      case 't':
      case 'f':
        return take({'\\', c});
      default:
        break;
    }
    const auto byte = static_cast<uint8_t>(c);
    if (at_ + 1 >= in_.size()) refuse("a trailing backslash");
    if (byte < 0x20 || byte >= 0x7F || std::isalnum(byte))
      refuse(base::str("the escape \"\\", c, "\""));
    return take({'\\', c});
  }

  // A set. [A&&[^B]] and [A&&[B]] become a lookahead and the set A.
  std::string char_class() {
    std::string members = "[";
    ++at_;
    if (peek() == '^') members += '^', ++at_;
    if (peek() == ']') refuse("\"]\" as first member of a set");
    std::string condition;
    while (at_ < in_.size() && peek() != ']') {
      if (starts("&&[") && members != "[" && members[1] != '^') {
        at_ += 2;
        condition = char_class();
        if (peek() != ']') refuse("more after an intersection");
      } else if (starts("&&")) {
        refuse("this form of intersection");
      } else if (peek() == '[') {
        refuse("a set inside a set");
      } else if (peek() == '\\') {
        members += escape(true);
      } else {
        members += in_[at_++];
      }
    }
    if (at_ >= in_.size()) refuse("a set without \"]\"");
    ++at_;
    members += ']';
    return condition.empty() ? members : "(?:(?=" + condition + ")" + members + ")";
  }

  std::string_view in_;
  const std::string& place_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern, const std::string& place) {
  return Translator(pattern, place).run();
}

std::string escape_pattern(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x80 && !std::isalnum(byte)) {
      static constexpr char kHex[] = "0123456789ABCDEF";
      out += base::str("\\x{", kHex[byte >> 4], kHex[byte & 15], "}");
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace preimage::text
