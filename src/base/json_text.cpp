#include "preimage/base/json_text.hpp"

#include <algorithm>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::base {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

// Where a scan of the text is.
struct Level {
  bool is_object;
  bool at_key;  // of an object: a string that comes now is a key
  size_t index = 0;
  std::string key;
};

// The offset after the string that begins at `begin`.
size_t string_end(std::string_view text, size_t begin) {
  size_t i = begin + 1;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  return std::min(i + 1, text.size());
}

std::string key_of(std::string_view quoted) {
  const auto key = Json::parse(quoted, nullptr, /*allow_exceptions=*/false);
  return key.is_string() ? key.get<std::string>() : std::string(quoted);
}

class Scan {
 public:
  explicit Scan(std::string_view text) : text_(text) {}

  // The next byte that is neither white space nor part of a key; false at the end. What it is, is
  // for the caller to look at before take().
  bool more() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool key = c == '"' && !levels_.empty() && levels_.back().at_key;
      if (key) {
        const size_t end = string_end(text_, at_);
        levels_.back().key = key_of(text_.substr(at_, end - at_));
        levels_.back().at_key = false;
        at_ = end;
      } else if (kSpace.find(c) != kSpace.npos || c == ':') {
        ++at_;
      } else {
        return true;
      }
    }
    return false;
  }

  char here() const { return text_[at_]; }
  size_t offset() const { return at_; }
  size_t depth() const { return levels_.size(); }
  const std::string& key() const { return levels_.back().key; }

  // Goes past what is here: a bracket, a comma, a string or a bare word.
  void take() {
    const char c = here();
    if (c == '{' || c == '[') {
      levels_.push_back({c == '{', c == '{', 0, {}});
    } else if ((c == '}' || c == ']') && !levels_.empty()) {
      levels_.pop_back();
    } else if (c == ',' && !levels_.empty()) {
      levels_.back().at_key = levels_.back().is_object;
      ++levels_.back().index;
    }
    at_ = c == '"' ? string_end(text_, at_) : is_word(c) ? word_end() : at_ + 1;
  }

  std::string_view word() const { return text_.substr(at_, word_end() - at_); }

  std::string path() const {
    std::string path;
    for (const auto& level : levels_) {
      if (level.is_object)
        path += (path.empty() ? "" : ".") + level.key;
      else
        path += "[" + std::to_string(level.index) + "]";
    }
    return path;
  }

 private:
  static bool is_word(char c) {
    return std::string_view("{}[],:\" \t\r\n").find(c) == std::string_view::npos;
  }
  size_t word_end() const {
    size_t end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return end;
  }

  std::string_view text_;
  size_t at_ = 0;
  std::vector<Level> levels_;
};

}  // namespace

std::string_view member_text(std::string_view object, std::string_view key) {
  Scan scan(object);
  while (scan.more()) {
    const bool found =
        scan.depth() == 1 && scan.here() != '}' && scan.here() != ',' && scan.key() == key;
    const size_t begin = scan.offset();
    size_t end = begin;
    do {
      scan.take();
      end = scan.offset();
    } while (found && scan.depth() > 1 && scan.more());
    if (found) return object.substr(begin, end - begin);
  }
  return {};
}

void visit_numbers(std::string_view text, const std::function<void(const NumberText&)>& visit) {
  Scan scan(text);
  for (; scan.more(); scan.take()) {
    const char c = scan.here();
    if (c == '-' || (c >= '0' && c <= '9')) visit({scan.path(), scan.offset(), scan.word()});
  }
}

std::string with_short_integers(std::string_view text, std::string_view part) {
  std::string out(text);
  if (part.empty()) return out;
  const auto begin = static_cast<size_t>(part.data() - text.data());
  visit_numbers(part, [&](const NumberText& number) {
    const size_t digits = number.text.starts_with('-') ? 1 : 0;
    const bool plain = number.text.find_first_not_of("0123456789", digits) == number.text.npos;
    if (number.text.size() - digits < 19 || !plain || number.text[digits] == '0') return;
    out.replace(begin + number.offset, number.text.size(), number.text.size(), ' ');
    out[begin + number.offset] = '0';
  });
  return out;
}

}  // namespace preimage::base
