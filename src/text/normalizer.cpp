#include "normalizer.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "component.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "regex.hpp"

namespace preimage::text {
namespace {

// The four Unicode normalization forms (UAX #15), by utf8proc.
class UnicodeForm : public Normalizer {
 public:
  UnicodeForm(bool compose, bool compatibility)
      : compose_(compose), compatibility_(compatibility) {}

  void apply(std::string& text) const override {
    if (unchanged(text)) return;
    int options = UTF8PROC_STABLE | (compose_ ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
    if (compatibility_) options |= UTF8PROC_COMPAT;
    utf8proc_uint8_t* out = nullptr;
    const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                   static_cast<utf8proc_ssize_t>(text.size()), &out,
                                   static_cast<utf8proc_option_t>(options));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(out, &std::free);
    base::check(size >= 0, "utf8proc normalizes well-formed UTF-8");
    text.assign(reinterpret_cast<const char*>(out), static_cast<size_t>(size));
  }

 private:
  // ASCII never changes; below U+0300 nothing changes under NFC. U+0300 begins with byte 0xCC.
  bool unchanged(const std::string& text) const {
    const uint8_t limit = compose_ && !compatibility_ ? 0xCC : 0x80;
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return static_cast<uint8_t>(c) < limit; });
  }
  bool compose_, compatibility_;
};

// Character by character, without context, as Rust's char::to_lowercase.
class Lowercase : public Normalizer {
 public:
  void apply(std::string& text) const override {
    std::string out;
    out.reserve(text.size());
    for (const char32_t c : base::decode_utf8(text)) {
      if (c == 0x130) {
        out += "i\xCC\x87";  // the only character with a longer lower case
      } else {
        base::append_utf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))),
                          out);
      }
    }
    text = std::move(out);
  }
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string head) : head_(std::move(head)) {}
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, head_);
  }

 private:
  std::string head_;
};

class Replace : public Normalizer {
 public:
  Replace(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string& text) const override {
    Regex::Scratch scratch(pattern_);
    std::vector<Span> matches;
    pattern_.find_all(text, scratch, matches);
    std::string out;
    size_t from = 0;
    for (const auto& match : matches) {
      out.append(text, from, match.begin - from).append(content_);
      from = match.end;
    }
    out.append(text, from);
    text = std::move(out);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<const Normalizer>> stages)
      : stages_(std::move(stages)) {}
  void apply(std::string& text) const override {
    for (const auto& stage : stages_) stage->apply(text);
  }

 private:
  std::vector<std::unique_ptr<const Normalizer>> stages_;
};

using Made = std::unique_ptr<const Normalizer>;

Made make_sequence(const base::JsonNode& node) {
  const auto list = node.at("normalizers");
  std::vector<Made> stages;
  for (size_t i = 0; i < list.size(); ++i) stages.push_back(make_normalizer(list.at(i)));
  return std::make_unique<NormalizerSequence>(std::move(stages));
}

}  // namespace

Made make_normalizer(const base::JsonNode& node) {
  using Node = const base::JsonNode&;
  static const ComponentTable<Normalizer> table = {
      {"NFC", [](Node) -> Made { return std::make_unique<UnicodeForm>(true, false); }},
      {"NFD", [](Node) -> Made { return std::make_unique<UnicodeForm>(false, false); }},
      {"NFKC", [](Node) -> Made { return std::make_unique<UnicodeForm>(true, true); }},
      {"NFKD", [](Node) -> Made { return std::make_unique<UnicodeForm>(false, true); }},
      {"Lowercase", [](Node) -> Made { return std::make_unique<Lowercase>(); }},
      {"Prepend",
       [](Node n) -> Made { return std::make_unique<Prepend>(n.at("prepend").string()); }},
      {"Replace",
       [](Node n) -> Made {
         return std::make_unique<Replace>(read_pattern(n.at("pattern")), n.at("content").string());
       }},
      {"Sequence", make_sequence},
  };
  return make_component(table, node, "normalizer");
}

}  // namespace preimage::text
