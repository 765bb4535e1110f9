// Pre-tokenizers that cut at kinds of characters.
#include "preimage/base/utf8.hpp"
#include "tokenizer/characters.hpp"
#include "tokenizer/component.hpp"
#include "tokenizer/pre_tokenizer.hpp"

namespace preimage::text {
namespace {

using Made = std::unique_ptr<const PreTokenizer>;

// Cuts at the characters for which `matches` holds.
class CharacterSplit : public PreTokenizer {
 public:
  using Test = bool (*)(char32_t);
  CharacterSplit(Test matches, Behavior behavior) : matches_(matches), behavior_(behavior) {}

  void apply(Pieces& pieces) const override {
    std::vector<Span> out;
    std::vector<Stretch> stretches;
    for (const auto& piece : pieces.spans) {
      stretches.clear();
      size_t from = piece.begin;
      for (size_t at = piece.begin; at < piece.end;) {
        char32_t c = 0;
        const size_t end = at + next_character(pieces.text, at, c);
        if (matches_(c)) {
          if (from != at) stretches.push_back({{from, at}, false});
          stretches.push_back({{at, end}, true});
          from = end;
        }
        at = end;
      }
      if (from != piece.end) stretches.push_back({{from, piece.end}, false});
      merge_stretches(stretches, behavior_, out);
    }
    pieces.spans = std::move(out);
  }

 private:
  Test matches_;
  Behavior behavior_;
};

// Runs of word characters, and runs of what is neither that nor white space.
class WordRuns : public PreTokenizer {
 public:
  void apply(Pieces& pieces) const override {
    std::vector<Span> out;
    for (const auto& piece : pieces.spans) {
      int previous = 0;
      for (size_t at = piece.begin; at < piece.end;) {
        char32_t c = 0;
        const size_t end = at + next_character(pieces.text, at, c);
        const int kind = is_word(c) ? 1 : is_white_space(c) ? 0 : 2;
        if (kind != 0 && kind == previous) {
          out.back().end = end;
        } else if (kind != 0) {
          out.push_back({at, end});
        }
        previous = kind;
        at = end;
      }
    }
    pieces.spans = std::move(out);
  }
};

Made cut(CharacterSplit::Test matches, Behavior behavior) {
  return std::make_unique<CharacterSplit>(matches, behavior);
}

// Spaces become the replacement, and the text is cut before each of those.
class Metaspace : public PreTokenizer {
 public:
  enum class Prepend : uint8_t { never, first, always };
  Metaspace(std::string replacement, Prepend prepend, Made split)
      : replacement_(std::move(replacement)), prepend_(prepend), split_(std::move(split)) {}

  void apply(Pieces& pieces) const override {
    std::string out;
    std::vector<Span> origin;
    for (auto& span : pieces.spans) {
      const auto piece = pieces.view(span);
      const bool opens = pieces.opens(span);
      const size_t begin = out.size();
      const bool there = piece.starts_with(' ') || piece.starts_with(replacement_);
      if (!there && (prepend_ == Prepend::always || (prepend_ == Prepend::first && opens))) {
        out += replacement_;
        if (pieces.tracked && !piece.empty()) origin.resize(out.size(), pieces.origin[span.begin]);
      }
      for (size_t i = span.begin; i < span.end; ++i) {
        if (pieces.text[i] == ' ') {
          out += replacement_;
        } else {
          out += pieces.text[i];
        }
        if (pieces.tracked) origin.resize(out.size(), pieces.origin[i]);
      }
      span = {begin, out.size()};
    }
    pieces.text = std::move(out);
    pieces.origin = std::move(origin);
    if (split_) split_->apply(pieces);
  }
  bool asks_for_origin() const override { return prepend_ == Prepend::first; }

 private:
  std::string replacement_;
  Prepend prepend_;
  Made split_;
};

class Both : public PreTokenizer {
 public:
  Both(Made first, Made second) : first_(std::move(first)), second_(std::move(second)) {}
  void apply(Pieces& pieces) const override {
    first_->apply(pieces);
    second_->apply(pieces);
  }

 private:
  Made first_, second_;
};

std::string one_character(const base::JsonNode& node) {
  if (base::decode_utf8(node.string()).size() != 1) node.wrong_type("one character");
  return node.string();
}

}  // namespace

Made make_metaspace(const base::JsonNode& node) {
  const auto replacement = one_character(node.at("replacement"));
  auto prepend = Metaspace::Prepend::always;
  if (const auto scheme = node.find("prepend_scheme")) {
    const auto& name = scheme->string();
    if (name != "always" && name != "first" && name != "never") {
      scheme->fail("found \"" + name + "\", expected always, first or never");
    }
    if (name != "always") {
      prepend = name == "first" ? Metaspace::Prepend::first : Metaspace::Prepend::never;
    }
  } else if (!node.boolean_or("add_prefix_space", true)) {
    prepend = Metaspace::Prepend::never;
  }
  Made split;
  if (node.boolean_or("split", true)) {
    split = make_split(Regex(escape_pattern(replacement), node.place()), Behavior::merged_with_next,
                       false);
  }
  return std::make_unique<Metaspace>(replacement, prepend, std::move(split));
}

Made make_digits(const base::JsonNode& node) {
  const bool individual = node.at("individual_digits").boolean();
  return cut(is_numeric, individual ? Behavior::isolated : Behavior::contiguous);
}

Made make_whitespace(const base::JsonNode&) {
  return std::make_unique<WordRuns>();
}

Made make_whitespace_split(const base::JsonNode&) {
  return cut(is_white_space, Behavior::removed);
}

Made make_bert_pre_tokenizer(const base::JsonNode&) {
  return std::make_unique<Both>(cut(is_white_space, Behavior::removed),
                                cut(is_punctuation, Behavior::isolated));
}

Made make_punctuation(const base::JsonNode& node) {
  const auto behavior = node.find("behavior");
  return cut(is_punctuation, behavior ? read_behavior(*behavior) : Behavior::isolated);
}

Made make_char_delimiter_split(const base::JsonNode& node) {
  return make_split(Regex(escape_pattern(one_character(node.at("delimiter"))), node.place()),
                    Behavior::removed, false);
}

}  // namespace preimage::text
