#include "tokenizer/formats/json_tables.hpp"

#include <algorithm>

#include "preimage/base/utf8.hpp"

namespace preimage::text {
namespace {

class Irregular {};

// Walks over JSON that is taken to be well formed; throws Irregular at what is not.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  size_t at() const { return at_; }
  char peek() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    if (at_ == text_.size()) throw Irregular();
    return text_[at_];
  }
  void take(char expected) {
    if (peek() != expected) throw Irregular();
    ++at_;
  }
  bool take_if(char expected) {
    if (peek() != expected) return false;
    ++at_;
    return true;
  }
  void require_end() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    if (at_ != text_.size()) throw Irregular();
  }

  // A string, good until the next one is read.
  std::string_view string() {
    take('"');
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\')
      require_plain(text_[at_++]);
    if (at_ < text_.size() && text_[at_] == '"') return text_.substr(begin, at_++ - begin);
    decoded_.assign(text_.substr(begin, at_ - begin));
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\') {
        escape();
      } else {
        require_plain(text_[at_]);
        decoded_ += text_[at_++];
      }
    }
    take('"');
    return decoded_;
  }

  uint32_t id() {
    peek();
    const size_t begin = at_;
    uint64_t value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9' && at_ - begin < 10)
      value = value * 10 + static_cast<uint64_t>(text_[at_++] - '0');
    const size_t digits = at_ - begin;
    if (digits == 0 || (digits > 1 && text_[begin] == '0')) throw Irregular();
    if (value > static_cast<uint64_t>(kMaxTokenId)) throw Irregular();
    return static_cast<uint32_t>(value);
  }

  // Over any value.
  void skip() {
    size_t depth = 0;
    do {
      const char c = peek();
      if (c == '"') {
        string();
      } else {
        if (c == '{' || c == '[') ++depth;
        if ((c == '}' || c == ']') && depth-- == 0) throw Irregular();
        ++at_;
      }
    } while (depth > 0 || (at_ < text_.size() && in_word(text_[at_])));
  }

 private:
  static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
  // Of numbers, true, false and null.
  bool in_word(char c) const {
    const auto word = [](char x) {
      return (x >= '0' && x <= '9') || (x >= 'a' && x <= 'z') || x == '.' || x == '+' || x == '-' ||
             x == 'E';
    };
    return word(c) && word(text_[at_ - 1]);
  }
  static void require_plain(char c) {
    if (static_cast<uint8_t>(c) < 0x20) throw Irregular();
  }

  uint32_t hex() {
    if (text_.size() - at_ < 4) throw Irregular();
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = text_[at_++];
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<uint32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + static_cast<uint32_t>(lower - 'a' + 10);
      } else {
        throw Irregular();
      }
    }
    return value;
  }

  void escape() {
    if (text_.size() - at_ < 2) throw Irregular();
    const char c = text_[at_ + 1];
    at_ += 2;
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    if (const size_t i = kNames.find(c); i != kNames.npos) {
      decoded_ += kMeant[i];
      return;
    }
    if (c != 'u') throw Irregular();
    char32_t character = hex();
    if (character >= 0xD800 && character < 0xDC00) {
      if (text_.substr(at_, 2) != "\\u") throw Irregular();
      at_ += 2;
      const char32_t low = hex();
      if (low < 0xDC00 || low > 0xDFFF) throw Irregular();
      character = 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
    } else if (character >= 0xDC00 && character < 0xE000) {
      throw Irregular();
    }
    base::append_utf8(character, decoded_);
  }

  std::string_view text_;
  size_t at_ = 0;
  std::string decoded_;
};

class TableReader {
 public:
  explicit TableReader(std::string_view json) : json_(json), walker_(json) {}

  JsonTables operator()() {
    bool seen = false;
    each_member([&](std::string_view key) {
      if (key != "model" || walker_.peek() != '{') return walker_.skip();
      if (seen) throw Irregular();
      seen = true;
      read_model();
    });
    walker_.require_end();
    if (!has_vocabulary_) throw Irregular();
    out_.rest.append(json_, copied_);
    return std::move(out_);
  }

 private:
  template <class Member>
  void each_member(const Member& member) {
    walker_.take('{');
    if (walker_.take_if('}')) return;
    do {
      const std::string key(walker_.string());
      walker_.take(':');
      member(std::string_view(key));
    } while (walker_.take_if(','));
    walker_.take('}');
  }

  void read_model() {
    each_member([&](std::string_view key) {
      const char first = walker_.peek();
      if (key == "vocab" && first == '{') {
        cut([&] { read_vocabulary(); }, "{}");
      } else if (key == "merges" && first == '[') {
        cut([&] { read_merges(); }, "[]");
      } else {
        walker_.skip();
      }
    });
  }

  template <class Read>
  void cut(const Read& read, const char* empty) {
    out_.rest.append(json_, copied_, walker_.at() - copied_);
    read();
    out_.rest += empty;
    copied_ = walker_.at();
  }

  void read_vocabulary() {
    if (has_vocabulary_) throw Irregular();
    has_vocabulary_ = true;
    out_.vocabulary.reserve(json_.size() / 64);
    std::vector<bool> used;
    walker_.take('{');
    if (walker_.take_if('}')) return;
    do {
      std::string token(walker_.string());
      walker_.take(':');
      const uint32_t id = walker_.id();
      if (id >= used.size()) used.resize(std::max<size_t>(id + 1, 2 * used.size()));
      if (used[id] || !out_.vocabulary.emplace(std::move(token), id).second) throw Irregular();
      used[id] = true;
    } while (walker_.take_if(','));
    walker_.take('}');
  }

  // Each merge names tokens of the vocabulary, which stands before it.
  void read_merges() {
    if (!has_vocabulary_ || !out_.merges.empty()) throw Irregular();
    out_.merges.reserve(out_.vocabulary.size());
    walker_.take('[');
    if (walker_.take_if(']')) return;
    do {
      if (walker_.take_if('[')) {
        JsonMerge merge = left_of(walker_.string());
        walker_.take(',');
        add(merge, walker_.string());
        walker_.take(']');
      } else {
        const auto both = walker_.string();
        const size_t space = both.find(' ');
        if (space == both.npos || both.find(' ', space + 1) != both.npos) throw Irregular();
        if (both.starts_with("#version")) throw Irregular();
        add(left_of(both.substr(0, space)), both.substr(space + 1));
      }
    } while (walker_.take_if(','));
    walker_.take(']');
  }

  JsonMerge left_of(std::string_view left) const {
    const auto it = out_.vocabulary.find(left);
    if (it == out_.vocabulary.end()) throw Irregular();
    return {&it->first, nullptr, it->second, 0};
  }

  void add(JsonMerge merge, std::string_view right) {
    const auto it = out_.vocabulary.find(right);
    if (it == out_.vocabulary.end()) throw Irregular();
    merge.right = &it->first;
    merge.right_id = it->second;
    out_.merges.push_back(merge);
  }

  std::string_view json_;
  Walker walker_;
  JsonTables out_;
  bool has_vocabulary_ = false;
  size_t copied_ = 0;
};

}  // namespace

std::optional<JsonTables> cut_tables(std::string_view json) {
  if (base::first_invalid_utf8(json) != json.npos) return std::nullopt;
  try {
    return TableReader(json)();
  } catch (const Irregular&) {
    return std::nullopt;
  }
}

}  // namespace preimage::text
