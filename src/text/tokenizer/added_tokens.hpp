// Added tokens: texts that are cut out before normalization or before pre-tokenization and become
// one id each (tokenizer.json "added_tokens").
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "tokenizer/model.hpp"
#include "tokenizer/normalizer.hpp"

namespace preimage::text {

struct AddedToken {
  uint32_t id = 0;
  std::string content;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = true;
  bool special = false;
};

// Content and flags; the id is written elsewhere.
AddedToken read_added_token(const base::JsonNode& node);

// The array of the file. Ids must be those that the reference would give: of the vocabulary, or in
// order behind it. `vocabulary` is the model's.
std::vector<AddedToken> read_added_tokens(const base::JsonNode& list, const Vocabulary& vocabulary);

// A stretch of text: an added token, or text in which none was found.
struct Section {
  Span span;
  std::optional<uint32_t> id;
};

// Finds a set of added tokens in text: leftmost, the longest at that place, not overlapping.
class AddedTokenMatcher {
 public:
  // `contents[i]` is what `tokens[i]` looks like in the text to be searched.
  AddedTokenMatcher(std::vector<AddedToken> tokens, const std::vector<std::string>& contents);
  // `parse_special` false passes over tokens marked special.
  std::vector<Section> cut(std::string_view text, bool parse_special) const;

 private:
  struct Hit {
    uint32_t token;
    size_t length;
  };
  std::optional<Hit> longest_at(std::string_view text, size_t at) const;
  bool word_beside(std::string_view text, const Span& match) const;

  std::vector<AddedToken> tokens_;
  // A trie over bytes: (node, byte) -> node; the token that ends in a node, or UINT32_MAX.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<uint32_t> ends_;
  std::bitset<256> first_bytes_;
};

}  // namespace preimage::text
