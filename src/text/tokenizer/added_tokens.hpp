// Added tokens: texts that are cut out before normalization or before pre-tokenization and become
// one id each (tokenizer.json "added_tokens").
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "tokenizer/model.hpp"
#include "tokenizer/normalizer.hpp"

namespace preimage::text {

struct AddedToken {
  std::string content;
  bool single_word = false;
  bool lstrip = false;
  bool rstrip = false;
  bool normalized = true;
  bool special = false;
};

AddedToken read_added_token(const base::JsonNode& node);

// The added tokens of one tokenizer, in the way in which the tokenizers library keeps them.
class AddedVocabulary {
 public:
  // `model` must outlive it.
  explicit AddedVocabulary(const Vocabulary& model) : model_(model) {}

  // A token whose content is there already keeps its id and takes the new flags; one of the model's
  // vocabulary has its id there; others get the next id behind all. Empty ones are passed over.
  void add(const AddedToken& token);
  // With an id of its own: formats that fix ids.
  void put(uint32_t id, const AddedToken& token);

  const std::map<uint32_t, AddedToken>& tokens() const { return tokens_; }
  std::optional<uint32_t> id_of(std::string_view content) const;  // of an added token
  const Vocabulary& ids() const { return ids_; }
  // Whether a token of this content was ever special: its flag may be taken back, this not.
  bool special(std::string_view content) const { return special_.contains(content); }
  // Whether the token was ever looked for in normalized text: it is then shown in that form.
  bool shown_normalized(uint32_t id) const { return normalized_.contains(id); }

 private:
  uint32_t next_id() const;

  const Vocabulary& model_;
  std::map<uint32_t, AddedToken> tokens_;
  Vocabulary ids_;
  std::set<std::string, std::less<>> special_;
  std::set<uint32_t> normalized_;
};

// The array of a tokenizer.json. Ids must be those that the tokenizers library gives.
void read_added_tokens(const base::JsonNode& list, AddedVocabulary& out);

// A stretch of text: an added token, or text in which none was found.
struct Section {
  Span span;
  std::optional<uint32_t> id;
};

// What an added token looks like in the text to be searched.
struct AddedPattern {
  std::string text;
  uint32_t id;
  AddedToken flags;
};

// Finds a set of added tokens in text: leftmost, the longest at that place, not overlapping. Of two
// that look the same the first counts.
class AddedTokenMatcher {
 public:
  explicit AddedTokenMatcher(std::vector<AddedPattern> patterns);
  // `parse_special` false passes over tokens marked special.
  std::vector<Section> cut(std::string_view text, bool parse_special) const;

 private:
  struct Hit {
    uint32_t pattern;
    size_t length;
  };
  std::optional<Hit> longest_at(std::string_view text, size_t at) const;
  bool word_beside(std::string_view text, const Span& match) const;

  std::vector<AddedPattern> patterns_;
  // A trie over bytes: (node, byte) -> node; the token that ends in a node, or UINT32_MAX.
  std::unordered_map<uint64_t, uint32_t> children_;
  std::vector<uint32_t> ends_;
  std::bitset<256> first_bytes_;
};

}  // namespace preimage::text
