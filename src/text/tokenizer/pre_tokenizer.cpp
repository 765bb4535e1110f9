#include "tokenizer/pre_tokenizer.hpp"

#include <algorithm>
#include <vector>

#include "preimage/base/utf8.hpp"
#include "regex/regex.hpp"
#include "tokenizer/component.hpp"

namespace preimage::text {
namespace {

class Split : public PreTokenizer {
 public:
  Split(Regex pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    Regex::Scratch scratch(pattern_);
    std::vector<Span> out, matches;
    std::vector<Stretch> stretches;
    out.reserve(pieces.spans.size() + pieces.text.size() / 4);
    for (const auto& piece : pieces.spans) {
      matches.clear();
      stretches.clear();
      pattern_.find_all(pieces.view(piece), scratch, matches);
      size_t from = piece.begin;
      for (const auto& match : matches) {
        const Span at{piece.begin + match.begin, piece.begin + match.end};
        if (from != at.begin) stretches.push_back({{from, at.begin}, invert_});
        stretches.push_back({at, !invert_});
        from = at.end;
      }
      if (from != piece.end) stretches.push_back({{from, piece.end}, invert_});
      merge_stretches(stretches, behavior_, out);
    }
    std::erase_if(out, [](const Span& s) { return s.begin == s.end; });
    pieces.spans = std::move(out);
  }

 private:
  Regex pattern_;
  Behavior behavior_;
  bool invert_;
};

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

class ByteLevel : public PreTokenizer {
 public:
  ByteLevel(bool add_prefix_space, std::unique_ptr<const PreTokenizer> split)
      : add_prefix_space_(add_prefix_space), split_(std::move(split)) {
    const auto alphabet = byte_alphabet();
    for (size_t i = 0; i < alphabet.size(); ++i) base::append_utf8(alphabet[i], letters_[i]);
  }

  void apply(Pieces& pieces) const override {
    if (add_prefix_space_) prefix(pieces);
    if (split_) split_->apply(pieces);
    std::string out;
    std::vector<Span> origin;
    out.reserve(pieces.text.size() * 5 / 4);
    for (auto& span : pieces.spans) {
      const size_t begin = out.size();
      for (size_t i = span.begin; i < span.end; ++i) {
        const auto byte = static_cast<uint8_t>(pieces.text[i]);
        if (byte > 0x20 && byte < 0x7F) {
          out += pieces.text[i];
        } else {
          out += letters_[byte];
        }
        if (pieces.tracked) origin.resize(out.size(), pieces.origin[i]);
      }
      span = {begin, out.size()};
    }
    pieces.text = std::move(out);
    pieces.origin = std::move(origin);
  }

 private:
  static void prefix(Pieces& pieces) {
    Rewriter out(pieces);
    size_t shift = 0;
    for (auto& span : pieces.spans) {
      out.keep_to(span.begin);
      const bool added = span.begin < span.end && pieces.text[span.begin] != ' ';
      const size_t begin = span.begin + shift;
      if (added) {
        // As the library: the space takes the place of the first letter, which comes in anew.
        const char32_t first = out.next();
        out.replace(" ");
        out.insert(first);
        ++shift;
      }
      out.keep_to(span.end);
      span = {begin, span.end + shift};
    }
    out.finish(pieces);
  }
  bool add_prefix_space_;
  std::unique_ptr<const PreTokenizer> split_;
  std::array<std::string, 256> letters_;
};

class PreTokenizerSequence : public PreTokenizer {
 public:
  explicit PreTokenizerSequence(std::vector<std::unique_ptr<const PreTokenizer>> stages)
      : stages_(std::move(stages)) {}
  void apply(Pieces& pieces) const override {
    for (const auto& stage : stages_) stage->apply(pieces);
  }
  bool asks_for_origin() const override {
    return std::any_of(stages_.begin(), stages_.end(),
                       [](const auto& stage) { return stage->asks_for_origin(); });
  }
  bool rewrites() const override { return true; }

 private:
  std::vector<std::unique_ptr<const PreTokenizer>> stages_;
};

using Made = std::unique_ptr<const PreTokenizer>;

Made make_byte_level(const base::JsonNode& node) {
  Made split;
  if (node.boolean_or("use_regex", true)) {
    const std::string place = node.place() + ": built-in pattern";
    split = std::make_unique<Split>(Regex(translate_pattern(kGpt2Pattern, place), place),
                                    Behavior::isolated, false);
  }
  return std::make_unique<ByteLevel>(node.at("add_prefix_space").boolean(), std::move(split));
}

Made make_sequence(const base::JsonNode& node) {
  const auto list = node.at("pretokenizers");
  std::vector<Made> stages;
  for (size_t i = 0; i < list.size(); ++i) stages.push_back(make_pre_tokenizer(list.at(i)));
  return std::make_unique<PreTokenizerSequence>(std::move(stages));
}

Made read_split(const base::JsonNode& node) {
  return make_split(read_pattern(node.at("pattern")), read_behavior(node.at("behavior")),
                    node.boolean_or("invert", false));
}

}  // namespace

void merge_stretches(const std::vector<Stretch>& stretches, Behavior behavior,
                     std::vector<Span>& out) {
  const size_t first = out.size();
  bool previous = false;
  const auto join = [&](const Stretch& s) {
    return behavior == Behavior::contiguous ? s.match == previous : s.match && !previous;
  };
  if (behavior == Behavior::merged_with_next) {
    std::vector<Span> reversed;
    for (auto s = stretches.rbegin(); s != stretches.rend(); ++s) {
      if (join(*s) && !reversed.empty()) {
        reversed.back().begin = s->span.begin;
      } else {
        reversed.push_back(s->span);
      }
      previous = s->match;
    }
    out.insert(out.end(), reversed.rbegin(), reversed.rend());
    return;
  }
  for (const auto& s : stretches) {
    if (behavior == Behavior::removed) {
      if (!s.match) out.push_back(s.span);
    } else if (behavior != Behavior::isolated && join(s) && out.size() > first) {
      out.back().end = s.span.end;
    } else {
      out.push_back(s.span);
    }
    previous = s.match;
  }
}

size_t next_character(std::string_view text, size_t at, char32_t& c) {
  const auto lead = static_cast<uint8_t>(text[at]);
  const size_t width = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  c = width == 1 ? lead : lead & (0x7Fu >> width);
  for (size_t i = 1; i < width; ++i) c = c << 6 | (static_cast<uint8_t>(text[at + i]) & 0x3F);
  return width;
}

Behavior read_behavior(const base::JsonNode& node) {
  const auto& name = node.string();
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  node.fail("unknown behavior \"" + name +
            "\"; supported: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

Made make_split(Regex pattern, Behavior behavior, bool invert) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}

std::array<char32_t, 256> byte_alphabet() {
  std::array<char32_t, 256> out;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool itself =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    out[byte] = itself ? byte : next++;
  }
  return out;
}

Regex read_pattern(const base::JsonNode& node) {
  if (const auto text = node.find("String"))
    return Regex(escape_pattern(text->string()), node.place());
  const auto regex = node.find("Regex");
  if (!regex) node.fail("found neither \"String\" nor \"Regex\", a pattern is one of the two");
  return Regex(translate_pattern(regex->string(), regex->place()), regex->place());
}

Made make_pre_tokenizer(const base::JsonNode& node) {
  static const ComponentTable<PreTokenizer> table = {
      {"BertPreTokenizer", make_bert_pre_tokenizer},
      {"ByteLevel", make_byte_level},
      {"CharDelimiterSplit", make_char_delimiter_split},
      {"Digits", make_digits},
      {"Metaspace", make_metaspace},
      {"Punctuation", make_punctuation},
      {"Sequence", make_sequence},
      {"Split", read_split},
      {"Whitespace", make_whitespace},
      {"WhitespaceSplit", make_whitespace_split},
  };
  return make_component(table, node, "pre-tokenizer");
}

}  // namespace preimage::text
