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

  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    if (unchanged(text.text)) return;
    if (text.tracked) return apply_tracked(text);
    text.text = normalized(text.text);
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

  std::string normalized(const std::string& text) const {
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
    return out;
  }

  // Stretch by stretch: a character that starts one never mixes with what stands before it.
  void apply_tracked(TrackedText& text) const {
    Rewriter out(text);
    while (!out.done()) {
      const size_t end = stretch_end(text.text, out.at());
      if (by_character(text.text, end, out)) continue;
      const auto before = base::decode_utf8(text.text.substr(out.at(), end - out.at()));
      const auto after = base::decode_utf8(normalized(text.text.substr(out.at(), end - out.at())));
      const size_t common = std::min(before.size(), after.size());
      for (size_t i = 0; i < common; ++i) {
        out.replace(after[i]);
        if (i > 0) continue;
        for (size_t k = after.size(); k < before.size(); ++k) out.remove();
      }
      for (size_t i = common; i < after.size(); ++i) out.insert(after[i]);
      out.skip_to(end);
    }
    out.finish(text);
  }

  // Where each character of the stretch becomes its own, whatever stands beside it: the first of
  // them takes its place, more are new. False, and nothing done, elsewhere.
  bool by_character(const std::string& text, size_t end, Rewriter& out) const {
    std::vector<std::u32string> parts;
    std::string joined;
    for (size_t at = out.at(); at < end;) {
      utf8proc_int32_t c = 0;
      const auto size = static_cast<size_t>(utf8proc_iterate(bytes(text, at), rest(text, at), &c));
      const std::string one = normalized(text.substr(at, size));
      joined += one;
      const auto letters = base::decode_utf8(one);
      parts.emplace_back(letters.begin(), letters.end());
      at += size;
    }
    if (joined != normalized(text.substr(out.at(), end - out.at()))) return false;
    for (const auto& part : parts) {
      if (part.empty()) {
        out.remove();
        continue;
      }
      out.replace(part[0]);
      for (size_t i = 1; i < part.size(); ++i) out.insert(part[i]);
    }
    return true;
  }

  // Behind the starter at `begin` and what composes or reorders with it.
  size_t stretch_end(const std::string& text, size_t begin) const {
    utf8proc_int32_t c = 0;
    size_t at =
        begin + static_cast<size_t>(utf8proc_iterate(bytes(text, begin), rest(text, begin), &c));
    while (at < text.size()) {
      const auto size = static_cast<size_t>(utf8proc_iterate(bytes(text, at), rest(text, at), &c));
      const bool starter = utf8proc_get_property(c)->combining_class == 0;
      if (starter &&
          normalized(text.substr(begin, at + size - begin)) ==
              normalized(text.substr(begin, at - begin)) + normalized(text.substr(at, size))) {
        return at;
      }
      at += size;
    }
    return at;
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
  using Normalizer::apply;
  void apply(TrackedText& text) const override { lowercase(text); }
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(std::string head) : head_(std::move(head)) {}
  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    if (text.text.empty() || head_.empty()) return;
    Rewriter out(text);
    const char32_t first = out.next();
    out.replace(head_);
    out.insert(first);
    out.keep_to(text.text.size());
    out.finish(text);
  }

 private:
  std::string head_;
};

class Replace : public Normalizer {
 public:
  Replace(Regex pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    Regex::Scratch scratch(pattern_);
    std::vector<Span> matches;
    pattern_.find_all(text.text, scratch, matches);
    if (matches.empty()) return;
    Rewriter out(text);
    for (const auto& match : matches) {
      out.keep_to(match.begin);
      out.skip_to(match.end);
      out.insert(content_);
    }
    out.keep_to(text.text.size());
    out.finish(text);
  }

 private:
  Regex pattern_;
  std::string content_;
};

class NormalizerSequence : public Normalizer {
 public:
  explicit NormalizerSequence(std::vector<std::unique_ptr<const Normalizer>> stages)
      : stages_(std::move(stages)) {}
  using Normalizer::apply;
  void apply(TrackedText& text) const override {
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

void lowercase(TrackedText& text) {
  Rewriter out(text);
  while (!out.done()) {
    const char32_t c = out.next();
    if (c == 0x130) {  // the only character with a longer lower case
      out.replace("i");
      out.insert("\xCC\x87");
    } else {
      out.replace(lower_case(c));
    }
  }
  out.finish(text);
}

void decompose(TrackedText& text) {
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
