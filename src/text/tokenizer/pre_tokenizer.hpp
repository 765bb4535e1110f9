// Pre-tokenizers: they cut normalized text into the pieces that the model sees one by one.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "preimage/base/json_node.hpp"
#include "regex/regex.hpp"
#include "tokenizer/pieces.hpp"

namespace preimage::text {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Cuts each piece further; pieces never merge again.
  virtual void apply(Pieces& pieces) const = 0;
  // Whether it asks where in the input a piece began, and whether stages before it in the same
  // pre-tokenizer may have moved that.
  virtual bool asks_for_origin() const { return false; }
  virtual bool rewrites() const { return false; }
};

// A new kind is one class and one line in the list of pre_tokenizer.cpp.
std::unique_ptr<const PreTokenizer> make_pre_tokenizer(const base::JsonNode& node);

// What becomes of the matches of a pattern and of the stretches between them.
enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
Behavior read_behavior(const base::JsonNode& node);
// `invert`: stretches and matches change places.
std::unique_ptr<const PreTokenizer> make_split(Regex pattern, Behavior behavior, bool invert);

// A stretch of a piece: between matches, or a match.
struct Stretch {
  Span span;
  bool match;
};

// Stretches to pieces, as NormalizedString::split of the reference.
void merge_stretches(const std::vector<Stretch>& stretches, Behavior behavior,
                     std::vector<Span>& out);
// Decodes the character at `at` of well-formed UTF-8; its width in bytes.
size_t next_character(std::string_view text, size_t at, char32_t& c);

std::unique_ptr<const PreTokenizer> make_bert_pre_tokenizer(const base::JsonNode& node);
std::unique_ptr<const PreTokenizer> make_char_delimiter_split(const base::JsonNode& node);
std::unique_ptr<const PreTokenizer> make_digits(const base::JsonNode& node);
std::unique_ptr<const PreTokenizer> make_metaspace(const base::JsonNode& node);
std::unique_ptr<const PreTokenizer> make_punctuation(const base::JsonNode& node);
std::unique_ptr<const PreTokenizer> make_whitespace(const base::JsonNode& node);
std::unique_ptr<const PreTokenizer> make_whitespace_split(const base::JsonNode& node);

// The byte-level alphabet: byte -> code point. 0x21-0x7E, 0xA1-0xAC, 0xAE-0xFF stand for
// themselves, the other 68 in ascending order for U+0100, U+0101, ...
std::array<char32_t, 256> byte_alphabet();

}  // namespace preimage::text
