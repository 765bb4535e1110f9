#include "jinja/syntax/lexer.hpp"

#include <algorithm>
#include <charconv>

#include "jinja/text.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text::jinja {
namespace {

// "\r\n" and "\r" are line ends too; the last one of the source does not count.
std::string with_plain_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(with_plain_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) root();
    add(TokenType::end, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw SyntaxError(line_, what); }

  void add(TokenType type, std::string text) {
    tokens_.push_back({type, line_, std::move(text), Value()});
  }
  bool starts(std::string_view word) const {
    return std::string_view(text_).substr(at_, word.size()) == word;
  }
  // Moves on and counts lines.
  void advance(size_t to) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<ptrdiff_t>(at_),
                                         text_.begin() + static_cast<ptrdiff_t>(to), '\n'));
    line_starting_ = to > at_ ? text_[to - 1] == '\n' : line_starting_;
    at_ = to;
  }
  size_t after_spaces(size_t from) const {
    const std::string_view rest = std::string_view(text_).substr(from);
    return from + (rest.size() - strip(rest, nullptr, true, false).size());
  }

  // Text up to the next tag, then the tag.
  void root() {
    size_t tag = at_;
    for (; tag < text_.size(); ++tag) {
      tag = text_.find('{', tag);
      if (tag == text_.npos || tag + 1 >= text_.size()) tag = text_.size();
      if (tag == text_.size()) break;
      const char next = text_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    if (tag >= text_.size()) {
      add(TokenType::data, text_.substr(at_));
      return advance(text_.size());
    }
    const char kind = text_[tag + 1];
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : '\0';
    data_before(tag, kind, sign);
    if (kind == '%') {
      if (const size_t end = raw_begin(tag); end != text_.npos) {
        advance(end);
        return raw();
      }
    }
    const size_t inside = tag + (sign == '-' || sign == '+' ? 3 : 2);
    if (kind == '#') return comment(inside);
    add(kind == '{' ? TokenType::variable_begin : TokenType::block_begin, "");
    advance(inside);
    kind == '{' ? variable() : block();
  }

  // The text before a tag, stripped as the tag's sign says.
  void data_before(size_t tag, char kind, char sign) {
    std::string_view data = std::string_view(text_).substr(at_, tag - at_);
    if (sign == '-') {
      data = strip(data, nullptr, false, true);
    } else if (sign != '+' && kind != '{') {
      const size_t line = data.rfind('\n') == data.npos ? 0 : data.rfind('\n') + 1;
      if ((line > 0 || line_starting_) && strip(data.substr(line), nullptr).empty()) {
        data = data.substr(0, line);
      }
    }
    if (!data.empty()) add(TokenType::data, std::string(data));
    advance(tag);
  }

  // End of "{% raw %}" at `tag`, or npos.
  size_t raw_begin(size_t tag) const {
    const std::string_view all(text_);
    size_t at = tag + 2;
    if (at < all.size() && (all[at] == '-' || all[at] == '+')) ++at;
    at = after_spaces(at);
    if (all.substr(at, 3) != "raw") return all.npos;
    at = after_spaces(at + 3);
    if (all.substr(at, 3) == "-%}") return after_spaces(at + 3);
    return all.substr(at, 2) == "%}" ? at + 2 : all.npos;
  }

  void raw() {
    const std::string_view all(text_);
    for (size_t tag = at_; (tag = all.find("{%", tag)) != all.npos; ++tag) {
      size_t at = tag + 2;
      const char sign = at < all.size() ? all[at] : '\0';
      if (sign == '-' || sign == '+') ++at;
      at = after_spaces(at);
      if (all.substr(at, 6) != "endraw") continue;
      const size_t end = tag_end(after_spaces(at + 6), "%}");
      if (end == all.npos) continue;
      data_before(tag, '%', sign);
      return advance(end);
    }
    fail("a {% raw %} without its {% endraw %}");
  }

  // Where the end tag at `at` (with its sign and what it swallows) ends, or npos.
  size_t tag_end(size_t at, std::string_view close) const {
    const std::string_view rest = std::string_view(text_).substr(at);
    if (rest.empty()) return text_.npos;
    if (rest[0] == '+' && rest.substr(1, 2) == close) return at + 3;
    if (rest[0] == '-' && rest.substr(1, 2) == close) return after_spaces(at + 3);
    if (rest.substr(0, 2) != close) return text_.npos;
    return at + (rest.substr(2, 1) == "\n" ? 3 : 2);
  }

  void comment(size_t inside) {
    for (size_t at = inside; at < text_.size(); ++at) {
      const size_t end = tag_end(at, "#}");
      if (end != text_.npos) return advance(end);
    }
    fail("a comment {# without its #}");
  }

  void variable() {
    while (at_ < text_.size()) {
      const bool dash = starts("-}}");
      if (open_.empty() && (dash || starts("}}"))) {
        add(TokenType::variable_end, "");
        return advance(dash ? after_spaces(at_ + 3) : at_ + 2);
      }
      token();
    }
  }

  void block() {
    while (at_ < text_.size()) {
      const size_t end = open_.empty() ? tag_end(at_, "%}") : text_.npos;
      if (end != text_.npos) {
        add(TokenType::block_end, "");
        return advance(end);
      }
      token();
    }
  }

  void token() {
    const size_t spaces = after_spaces(at_);
    if (spaces > at_) return advance(spaces);
    const char c = text_[at_];
    if (is_digit(c)) return number();
    if (c == '"' || c == '\'') return string();
    if (c == '_' || std::isalpha(static_cast<uint8_t>(c)) || static_cast<uint8_t>(c) >= 0x80) {
      return name();
    }
    op();
  }

  size_t digits_from(size_t at) const {
    while (at < text_.size() &&
           (is_digit(text_[at]) ||
            (text_[at] == '_' && at + 1 < text_.size() && is_digit(text_[at + 1])))) {
      ++at;
    }
    return at;
  }

  // The end of a float at at_, or of its leading digits.
  size_t float_end() const {
    if (at_ > 0 && text_[at_ - 1] == '.') return 0;
    const size_t whole = digits_from(at_);
    size_t end = whole;
    if (end + 1 < text_.size() && text_[end] == '.' && is_digit(text_[end + 1])) {
      end = digits_from(end + 1);
    }
    if (end < text_.size() && (text_[end] | 0x20) == 'e') {
      size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (exponent < text_.size() && is_digit(text_[exponent])) end = digits_from(exponent);
    }
    return end == whole ? 0 : end;
  }

  size_t integer_end() const {
    const std::string_view rest = std::string_view(text_).substr(at_);
    if (rest[0] != '0') return digits_from(at_);
    const char mark = rest.size() > 1 ? static_cast<char>(rest[1] | 0x20) : '\0';
    const std::string_view allowed = mark == 'x'   ? "0123456789abcdefABCDEF_"
                                     : mark == 'o' ? "01234567_"
                                     : mark == 'b' ? "01_"
                                                   : "";
    if (!allowed.empty() && rest.size() > 2 && allowed.find(rest[2]) != allowed.npos) {
      size_t end = rest.find_first_not_of(allowed, 2);
      if (end == rest.npos) end = rest.size();
      while (rest[end - 1] == '_') --end;
      return at_ + end;
    }
    const size_t zeros = rest.find_first_not_of("0_");
    return at_ + (zeros == rest.npos ? rest.size() : zeros);
  }

  void number() {
    const size_t end_of_float = float_end();
    const size_t end = end_of_float != 0 ? end_of_float : integer_end();
    std::string digits = text_.substr(at_, end - at_);
    std::erase(digits, '_');
    add(TokenType::number, digits);
    try {
      if (end_of_float != 0) {
        tokens_.back().number = Value(parse_float(digits).value());
      } else {
        tokens_.back().number = Value(parse_integer(digits, 0).value());
      }
    } catch (const std::exception&) {
      fail("the number " + digits + " is beyond 64 bits");
    }
    advance(end);
  }

  void name() {
    size_t end = at_;
    while (end < text_.size() &&
           (text_[end] == '_' || std::isalnum(static_cast<uint8_t>(text_[end])) ||
            static_cast<uint8_t>(text_[end]) >= 0x80)) {
      ++end;
    }
    std::string word = text_.substr(at_, end - at_);
    if (!has_class("isidentifier", word).value_or(false)) {
      fail("\"" + word + "\" holds a character that no name may hold");
    }
    add(TokenType::name, std::move(word));
    advance(end);
  }

  void string() {
    const char quote = text_[at_];
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail("a string without its closing quote");
    add(TokenType::string, unescape(std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1);
  }

  std::string unescape(std::string_view body) const {
    std::string out;
    for (size_t i = 0; i < body.size(); ++i) {
      if (body[i] != '\\' || i + 1 == body.size()) {
        out += body[i];
        continue;
      }
      const char c = body[++i];
      static constexpr std::string_view kNames = "abfnrtv\\'\"", kBytes = "\a\b\f\n\r\t\v\\'\"";
      const int hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
      if (c == '\n') {
        continue;
      } else if (const size_t named = kNames.find(c); named != kNames.npos) {
        out += kBytes[named];
      } else if (hex > 0) {
        append_point(body.substr(i + 1, static_cast<size_t>(hex)), hex, out);
        i += static_cast<size_t>(hex);
      } else if (c >= '0' && c <= '7') {
        char32_t point = 0;
        size_t count = 0;
        for (; count < 3 && i + count < body.size() && body[i + count] >= '0' &&
               body[i + count] <= '7';
             ++count)
          point = point * 8 + static_cast<char32_t>(body[i + count] - '0');
        i += count - 1;
        base::append_utf8(point, out);
      } else if (c == 'N') {
        fail("the escape \\N{...} in a string is not supported; write \\uXXXX");
      } else {
        out.append("\\").append(1, c);
      }
    }
    return out;
  }

  void append_point(std::string_view digits, int count, std::string& out) const {
    uint32_t point = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), point, 16);
    if (error != std::errc() || static_cast<int>(digits.size()) != count ||
        end != digits.data() + count || point > 0x10FFFF) {
      fail(base::str("the escape in a string takes ", count, " hexadecimal digits"));
    }
    if (point >= 0xD800 && point < 0xE000) fail("half of a surrogate pair in a string is no text");
    base::append_utf8(point, out);
  }

  void op() {
    static constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kShort = "+-/*%~[](){}><=.:|,;";
    std::string found;
    for (const auto word : kLong) {
      if (starts(word)) found = word;
    }
    if (found.empty() && kShort.find(text_[at_]) != kShort.npos) found = text_[at_];
    if (found.empty()) fail(base::str("unexpected '", text_[at_], "'"));
    balance(found[0]);
    add(TokenType::op, found);
    advance(at_ + found.size());
  }

  void balance(char c) {
    static constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (kOpen.find(c) != kOpen.npos) {
      open_ += kClose[kOpen.find(c)];
    } else if (kClose.find(c) != kClose.npos) {
      if (open_.empty()) fail(base::str("unexpected '", c, "'"));
      if (open_.back() != c) fail(base::str("unexpected '", c, "', expected '", open_.back(), "'"));
      open_.pop_back();
    }
  }

  std::string text_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string open_;  // brackets still to be closed
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  return Lexer(source).run();
}

}  // namespace preimage::text::jinja
