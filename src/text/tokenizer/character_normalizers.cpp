// Normalizers that look at one character (or one grapheme cluster) at a time.
#include <utf8proc.h>

#include <cstdlib>

#include "preimage/base/error.hpp"
#include "preimage/base/utf8.hpp"
#include "tokenizer/characters.hpp"
#include "tokenizer/charsmap.hpp"
#include "tokenizer/component.hpp"
#include "tokenizer/normalizer.hpp"
#include "tokenizer/pre_tokenizer.hpp"

namespace preimage::text {
namespace {

using base::append_utf8;
using base::decode_utf8;

// Keeps the characters for which `keep` holds.
template <class Keep>
void filter(TrackedText& text, const Keep& keep) {
  Rewriter out(text);
  while (!out.done()) {
    if (keep(out.next())) {
      out.keep();
    } else {
      out.remove();
    }
  }
  out.finish(text);
}

class StripAccents : public Normalizer {
 public:
  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    filter(text, [](char32_t c) { return !is_mark(c); });
  }
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    const auto letters = decode_utf8(text.text);
    size_t begin = 0, end = letters.size();
    while (left_ && begin < end && is_white_space(letters[begin])) ++begin;
    while (right_ && begin < end && is_white_space(letters[end - 1])) --end;
    size_t i = 0;
    Rewriter out(text);
    for (; !out.done(); ++i) {
      if (i >= begin && i < end) {
        out.keep();
      } else {
        out.remove();
      }
    }
    out.finish(text);
  }

 private:
  bool left_, right_;
};

struct BertOptions {
  bool clean_text = true, chinese = true, strip_accents = true, lowercase = true;
};

class BertNormalizer : public Normalizer {
 public:
  explicit BertNormalizer(const BertOptions& options) : options_(options) {}

  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    if (options_.clean_text || options_.chinese) clean(text);
    if (options_.strip_accents) {
      decompose(text);
      filter(text, [](char32_t c) { return !is_nonspacing(c); });
    }
    if (options_.lowercase) lowercase(text);
  }

 private:
  void clean(TrackedText& text) const {
    Rewriter out(text);
    while (!out.done()) {
      const char32_t c = out.next();
      if (options_.clean_text && is_control(c)) {
        out.remove();
      } else if (options_.clean_text && is_white_space(c)) {
        out.replace(" ");
      } else if (options_.chinese && is_chinese(c)) {
        out.replace(" ");
        out.insert(c);
        out.insert(" ");
      } else {
        out.keep();
      }
    }
    out.finish(text);
  }

  static bool is_chinese(char32_t c) {
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
           (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
           (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
           (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
  }

  BertOptions options_;
};

// The changes of the library's Precompiled, one for each character of the new text: 0 replaces a
// character, 1 is new, -n also removes the n characters that follow. What is removed at the very
// beginning is counted nowhere there, so that the origins of what follows are off by as much.
class Changes {
 public:
  void replace(std::string_view from, std::string_view to) {
    const auto before = static_cast<int64_t>(base::decode_utf8(from).size());
    const auto letters = base::decode_utf8(to);
    const auto added = static_cast<int64_t>(letters.size()) - before;
    for (const char32_t c : letters) changes_.push_back({c, 0});
    for (int64_t i = 0; i < added; ++i)
      changes_[changes_.size() - 1 - static_cast<size_t>(i)].by = 1;
    if (added < 0 && !changes_.empty()) changes_.back().by += added;
  }

  void apply(TrackedText& text) const {
    Rewriter out(text);
    for (const auto& [character, by] : changes_) {
      if (by > 0 || out.done()) {
        out.insert(character);
        continue;
      }
      out.replace(character);
      for (int64_t i = 0; i < -by && !out.done(); ++i) out.remove();
    }
    out.finish(text);
  }

 private:
  struct Change {
    char32_t character;
    int64_t by;
  };
  std::vector<Change> changes_;
};

// As the tokenizers library: a grapheme cluster of fewer than 6 bytes is looked up as a whole, and
// the shortest entry found replaces all of it; else each character by itself.
class Precompiled : public Normalizer {
 public:
  explicit Precompiled(Charsmap map) : map_(std::move(map)) {}

  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    Changes out;
    for (size_t begin = 0; begin < text.text.size();) {
      const size_t end = cluster_end(text.text, begin);
      const std::string_view cluster = std::string_view(text.text).substr(begin, end - begin);
      const auto whole = cluster.size() < kWholeBytes ? map_.shortest(cluster) : std::nullopt;
      if (whole) {
        out.replace(cluster, whole->replacement);
      } else {
        by_character(cluster, out);
      }
      begin = end;
    }
    out.apply(text);
  }

 private:
  static constexpr size_t kWholeBytes = 6;

  static size_t next_character(const std::string& text, size_t at, utf8proc_int32_t& c) {
    const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at);
    const auto size = utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - at), &c);
    base::check(size > 0, "a normalizer gets well-formed UTF-8");
    return static_cast<size_t>(size);
  }

  // Extended grapheme clusters (UAX #29).
  static size_t cluster_end(const std::string& text, size_t begin) {
    utf8proc_int32_t previous = 0, c = 0, state = 0;
    size_t at = begin + next_character(text, begin, previous);
    while (at < text.size()) {
      const size_t size = next_character(text, at, c);
      if (utf8proc_grapheme_break_stateful(previous, c, &state)) return at;
      previous = c;
      at += size;
    }
    return at;
  }

  void by_character(std::string_view cluster, Changes& out) const {
    for (size_t i = 0; i < cluster.size();) {
      size_t width = 1;
      while (i + width < cluster.size() &&
             (static_cast<uint8_t>(cluster[i + width]) & 0xC0) == 0x80)
        ++width;
      const auto part = cluster.substr(i, width);
      const auto found = map_.shortest(part);
      out.replace(part, found ? found->replacement : part);
      i += width;
    }
  }

  Charsmap map_;
};

// The white space and control rules of the neural machine translation models.
class Nmt : public Normalizer {
 public:
  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    Rewriter out(text);
    while (!out.done()) {
      const char32_t c = out.next();
      const bool dropped = (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) ||
                           c == 0x7F || c == 0x8F || c == 0x9F;
      const bool space = c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 ||
                         (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
                         c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
      if (dropped) {
        out.remove();
      } else if (space) {
        out.replace(" ");
      } else {
        out.keep();
      }
    }
    out.finish(text);
  }
};

class ByteAlphabet : public Normalizer {
 public:
  ByteAlphabet() : alphabet_(byte_alphabet()) {}
  using Normalizer::apply;
  void apply(TrackedText& text) const override {
    Rewriter out(text);
    while (!out.done()) {
      std::string bytes;
      base::append_utf8(out.next(), bytes);
      out.replace(alphabet_[static_cast<uint8_t>(bytes[0])]);
      for (const char c : bytes.substr(1)) out.insert(alphabet_[static_cast<uint8_t>(c)]);
    }
    out.finish(text);
  }

 private:
  std::array<char32_t, 256> alphabet_;
};

}  // namespace

using Made = std::unique_ptr<const Normalizer>;

Made make_strip_accents(const base::JsonNode&) {
  return std::make_unique<StripAccents>();
}

Made make_strip(const base::JsonNode& node) {
  return std::make_unique<Strip>(node.boolean_or("strip_left", true),
                                 node.boolean_or("strip_right", true));
}

Made make_bert_normalizer(const base::JsonNode& node) {
  BertOptions options;
  options.clean_text = node.boolean_or("clean_text", true);
  options.chinese = node.boolean_or("handle_chinese_chars", true);
  options.lowercase = node.boolean_or("lowercase", true);
  options.strip_accents = node.boolean_or("strip_accents", options.lowercase);
  return std::make_unique<BertNormalizer>(options);
}

Made make_precompiled(const base::JsonNode& node) {
  const auto map = node.find("precompiled_charsmap");
  if (!map || map->string().empty()) {
    node.fail("has no precompiled_charsmap, expected one in base64");
  }
  const auto blob = decode_base64(map->string());
  if (!blob) map->fail("is not base64");
  return std::make_unique<Precompiled>(Charsmap(*blob, map->place()));
}

Made make_nmt(const base::JsonNode&) {
  return std::make_unique<Nmt>();
}

Made make_byte_alphabet(const base::JsonNode&) {
  return std::make_unique<ByteAlphabet>();
}

}  // namespace preimage::text
