#include "preimage/text/source_tokens.hpp"

#include <algorithm>
#include <array>

namespace preimage::text {
namespace {

using namespace std::string_view_literals;

// Longest first.
constexpr std::array kJavaScript = {">>>="sv, "..."sv, "==="sv, "!=="sv,  "**="sv, "<<="sv, ">>="sv,
                                    ">>>"sv,  "&&="sv, "||="sv, "?\?="sv, "=>"sv,  "=="sv,  "!="sv,
                                    "<="sv,   ">="sv,  "&&"sv,  "||"sv,   "??"sv,  "?."sv,  "++"sv,
                                    "--"sv,   "+="sv,  "-="sv,  "*="sv,   "/="sv,  "%="sv,  "&="sv,
                                    "|="sv,   "^="sv,  "<<"sv,  ">>"sv,   "**"sv};
constexpr std::array kRust = {"<<="sv, ">>="sv, "..."sv, "..="sv, "::"sv, "->"sv, "=>"sv, "&&"sv,
                              "||"sv,  "=="sv,  "!="sv,  "<="sv,  ">="sv, "+="sv, "-="sv, "*="sv,
                              "/="sv,  "%="sv,  "^="sv,  "&="sv,  "|="sv, "<<"sv, ">>"sv, ".."sv};
// Behind these a slash begins a regular expression, not a division.
constexpr std::array kBeforeExpression = {
    "return"sv, "typeof"sv, "case"sv, "in"sv, "of"sv,    "delete"sv, "void"sv,
    "throw"sv,  "new"sv,    "else"sv, "do"sv, "yield"sv, "await"sv,  "instanceof"sv};

bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '$' || c == '#' || static_cast<unsigned char>(c) >= 0x80;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

class Scanner {
 public:
  Scanner(SourceLanguage language, std::string_view source)
      : js_(language == SourceLanguage::javascript), text_(source) {}

  std::vector<std::string> run() {
    while (at_ < text_.size()) {
      if (is_space(text_[at_])) {
        space();
        continue;
      }
      const size_t end = std::min(std::max(token_end(), at_ + 1), text_.size());
      tokens_.emplace_back(text_.substr(at_, end - at_));
      at_ = end;
    }
    if (!tokens_.empty() && tokens_.back() == "\n") tokens_.pop_back();
    return std::move(tokens_);
  }

 private:
  bool starts(std::string_view what, size_t at) const {
    return text_.substr(at, what.size()) == what;
  }
  char peek(size_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  void space() {
    const bool breaks = text_[at_++] == '\n';
    if (js_ && breaks && !tokens_.empty() && tokens_.back() != "\n") tokens_.emplace_back("\n");
  }

  size_t token_end() const {
    const char c = text_[at_];
    if (starts("//", at_)) return std::min(text_.find('\n', at_), text_.size());
    if (starts("/*", at_)) return comment_end();
    if (js_) {
      if (c == '"' || c == '\'') return quoted_end(at_);
      if (c == '`') return template_end(at_);
      if (c == '/' && expression_may_begin()) return regex_end();
    } else {
      if (const size_t end = rust_text_end(); end > at_) return end;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(at_ + 1)))) return number_end();
    // In Rust '#' and '$' are punctuation; in JavaScript they begin private and common names.
    if (in_word(c) && (js_ || (c != '#' && c != '$'))) return word_end(at_);
    return punctuator_end();
  }

  size_t word_end(size_t at) const {
    while (at < text_.size() && in_word(text_[at]) &&
           (js_ || (text_[at] != '#' && text_[at] != '$')))
      ++at;
    return at;
  }

  // "1.5e-3", "0xFF", "1_000u32"; in Rust a point before another or before a name is a range or a
  // call: "0..9", "1.max(2)".
  size_t number_end() const {
    size_t at = at_;
    bool hex = starts("0x", at_) || starts("0X", at_);
    for (;; ++at) {
      const char c = peek(at);
      if (c == '\0') return at;
      if (in_word(c) && c != '#' && c != '$') continue;
      const char before = at > at_ ? text_[at - 1] : '\0';
      if ((c == '+' || c == '-') && !hex && (before == 'e' || before == 'E')) continue;
      const bool fraction = js_ ? peek(at + 1) != '.' : is_digit(peek(at + 1));
      if (c == '.' && fraction && text_.substr(at_, at - at_).find('.') == std::string_view::npos)
        continue;
      return at;
    }
  }

  size_t comment_end() const {
    size_t at = at_ + 2;
    for (int depth = 1; at < text_.size();) {
      if (!js_ && starts("/*", at)) {  // Rust's nest
        ++depth, at += 2;
      } else if (starts("*/", at)) {
        at += 2;
        if (--depth == 0) return at;
      } else {
        ++at;
      }
    }
    return at;
  }

  // From an opening quote to behind its closing one.
  size_t quoted_end(size_t at) const {
    const char quote = text_[at++];
    for (; at < text_.size(); ++at) {
      if (text_[at] == '\\') {
        ++at;
      } else if (text_[at] == quote) {
        return at + 1;
      }
    }
    return at;
  }

  // A template with the expressions in it, which may hold templates.
  size_t template_end(size_t at) const {
    for (++at; at < text_.size(); ++at) {
      if (text_[at] == '\\') {
        ++at;
      } else if (text_[at] == '`') {
        return at + 1;
      } else if (starts("${", at)) {
        at = braces_end(at + 1) - 1;
      }
    }
    return at;
  }

  size_t braces_end(size_t at) const {
    int depth = 0;
    while (at < text_.size()) {
      const char c = text_[at];
      if (c == '"' || c == '\'') {
        at = quoted_end(at);
      } else if (c == '`') {
        at = template_end(at);
      } else {
        ++at;
        depth += c == '{' ? 1 : (c == '}' ? -1 : 0);
        if (depth == 0) return at;
      }
    }
    return at;
  }

  bool expression_may_begin() const {
    auto last = tokens_.rbegin();
    while (last != tokens_.rend() &&
           (*last == "\n" || last->starts_with("//") || last->starts_with("/*")))
      ++last;
    if (last == tokens_.rend()) return true;
    if (std::find(kBeforeExpression.begin(), kBeforeExpression.end(), *last) !=
        kBeforeExpression.end())
      return true;
    const char end = last->back();
    return !in_word(end) && end != ')' && end != ']' && end != '}' && end != '"' && end != '\'' &&
           end != '`' && *last != "++" && *last != "--";
  }

  size_t regex_end() const {
    bool in_class = false;
    for (size_t at = at_ + 1; at < text_.size() && text_[at] != '\n'; ++at) {
      const char c = text_[at];
      if (c == '\\') {
        ++at;
      } else if (c == '[') {
        in_class = true;
      } else if (c == ']') {
        in_class = false;
      } else if (c == '/' && !in_class) {
        return word_end(at + 1);  // with its flags
      }
    }
    return at_ + 1;  // no closing slash: a division after all
  }

  // "b"..."", r#"..."#, 'c', b'c'; a lifetime ('a) is a token too. at_ where there is none of them.
  size_t rust_text_end() const {
    size_t at = at_;
    if (peek(at) == 'b' || peek(at) == 'c') ++at;
    if (peek(at) == 'r') {
      size_t open = at + 1;
      while (peek(open) == '#') ++open;
      if (peek(open) == '"') {
        const auto closing = "\"" + std::string(open - at - 1, '#');
        const size_t end = text_.find(closing, open + 1);
        return end == std::string_view::npos ? text_.size() : end + closing.size();
      }
    }
    if (peek(at) == '"') return quoted_end(at);
    if (peek(at) != '\'' || (at > at_ && text_[at_] == 'c')) return at_;
    if (peek(at + 1) == '\\') return quoted_end(at);
    // One character, of however many bytes, and a quote; else a lifetime.
    size_t close = at + 2;
    while ((static_cast<unsigned char>(peek(close)) & 0xC0) == 0x80) ++close;
    if (peek(close) == '\'') return close + 1;
    return at > at_ ? at_ : word_end(at + 1);
  }

  template <size_t N>
  size_t longest(const std::array<std::string_view, N>& known) const {
    for (const auto mark : known) {
      if (starts(mark, at_)) return at_ + mark.size();
    }
    return at_ + 1;
  }
  size_t punctuator_end() const { return js_ ? longest(kJavaScript) : longest(kRust); }

  bool js_;
  std::string_view text_;
  size_t at_ = 0;
  std::vector<std::string> tokens_;
};

}  // namespace

std::vector<std::string> source_tokens(SourceLanguage language, std::string_view source) {
  return Scanner(language, source).run();
}

}  // namespace preimage::text
