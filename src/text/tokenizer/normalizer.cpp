#include "tokenizer/normalizer.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"
#include "regex/regex.hpp"
#include "tokenizer/characters.hpp"
#include "tokenizer/component.hpp"

namespace preimage::text {
namespace {

// The four Unicode normalization forms (UAX #15), by utf8proc.
class UnicodeForm : public Normalizer {
 public:
  UnicodeForm(bool compose, bool compatibility)
      : compose_(compose), compatibility_(compatibility) {}

  void apply(std::string& text) const override {
    if (unchanged(text)) return;
    std::string out;
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      utf8proc_int32_t c = 0;
      const auto size = utf8proc_iterate(bytes(text, at), rest(text, at), &c);
      base::check(size > 0, "a normalizer gets well-formed UTF-8");
      const size_t end = at + static_cast<size_t>(size);
      if (is_young(static_cast<char32_t>(c))) {
        append(text, begin, at, out);
        out.append(text, at, end - at);
        begin = end;
      }
      at = end;
    }
    append(text, begin, text.size(), out);
    text = std::move(out);
  }

 private:
  // ASCII never changes; below U+0300 nothing changes under NFC. U+0300 begins with byte 0xCC.
  bool unchanged(const std::string& text) const {
    const uint8_t limit = compose_ && !compatibility_ ? 0xCC : 0x80;
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return static_cast<uint8_t>(c) < limit; });
  }
  static const utf8proc_uint8_t* bytes(const std::string& text, size_t at) {
    return reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
  }
  static utf8proc_ssize_t rest(const std::string& text, size_t at) {
    return static_cast<utf8proc_ssize_t>(text.size() - at);
  }

  void append(const std::string& text, size_t begin, size_t end, std::string& out) const {
    if (begin == end) return;
    int options = UTF8PROC_STABLE | (compose_ ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE);
    if (compatibility_) options |= UTF8PROC_COMPAT;
    utf8proc_uint8_t* made = nullptr;
    const auto size = utf8proc_map(bytes(text, begin), static_cast<utf8proc_ssize_t>(end - begin),
                                   &made, static_cast<utf8proc_option_t>(options));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(made, &std::free);
    base::check(size >= 0, "utf8proc normalizes well-formed UTF-8");
    out.append(reinterpret_cast<const char*>(made), static_cast<size_t>(size));
  }

  bool compose_, compatibility_;
};

class Lowercase : public Normalizer {
 public:
  void apply(std::string& text) const override { lowercase(text); }
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

void lowercase(std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char32_t c : base::decode_utf8(text)) {
    if (c == 0x130) {
      out += "i\xCC\x87";  // the only character with a longer lower case
    } else {
      base::append_utf8(lower_case(c), out);
    }
  }
  text = std::move(out);
}

void decompose(std::string& text) {
  UnicodeForm(false, false).apply(text);
}

Made make_normalizer(const base::JsonNode& node) {
  using Node = const base::JsonNode&;
  static const ComponentTable<Normalizer> table = {
      {"BertNormalizer", make_bert_normalizer},
      {"ByteLevel", make_byte_alphabet},
      {"NFC", [](Node) -> Made { return std::make_unique<UnicodeForm>(true, false); }},
      {"NFD", [](Node) -> Made { return std::make_unique<UnicodeForm>(false, false); }},
      {"NFKC", [](Node) -> Made { return std::make_unique<UnicodeForm>(true, true); }},
      {"NFKD", [](Node) -> Made { return std::make_unique<UnicodeForm>(false, true); }},
      {"Lowercase", [](Node) -> Made { return std::make_unique<Lowercase>(); }},
      {"Nmt", make_nmt},
      {"Precompiled", make_precompiled},
      {"Prepend",
       [](Node n) -> Made { return std::make_unique<Prepend>(n.at("prepend").string()); }},
      {"Replace",
       [](Node n) -> Made {
         return std::make_unique<Replace>(read_pattern(n.at("pattern")), n.at("content").string());
       }},
      {"Sequence", make_sequence},
      {"Strip", make_strip},
      {"StripAccents", make_strip_accents},
  };
  return make_component(table, node, "normalizer");
}

}  // namespace preimage::text
