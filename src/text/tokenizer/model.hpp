// Tokenizer models: they turn one pre-token into ids.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "tokenizer/pieces.hpp"

namespace preimage::text {

// Ids above this are refused: the largest published vocabulary has about 262,000.
constexpr int64_t kMaxTokenId = (int64_t{1} << 22) - 1;

struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
// token -> id
using Vocabulary = std::unordered_map<std::string, uint32_t, StringHash, std::equal_to<>>;

class Model {
 public:
  virtual ~Model() = default;
  // Appends the ids of all pieces in order, and, where asked, the bytes of `pieces.text` that each
  // stands for.
  virtual void tokenize(const Pieces& pieces, std::vector<int64_t>& ids,
                        std::vector<Span>* places) const = 0;
  virtual const Vocabulary& vocabulary() const = 0;
  virtual bool is_bpe() const { return false; }
  // Whether what is unknown shows as it stands in the text, and not as the unknown token.
  virtual bool shows_unknown() const { return false; }
};

struct JsonTables;

// A new kind is one class in a file of its own and one line in the list of model.cpp. `tables`:
// what was read of the file before, null where `node` holds all.
std::unique_ptr<const Model> make_model(const base::JsonNode& node, JsonTables* tables);

// {"token": id, ...}: ids must differ and lie in 0..kMaxTokenId.
Vocabulary read_vocabulary(const base::JsonNode& node);

std::unique_ptr<const Model> make_bpe(const base::JsonNode& node, JsonTables* tables);
std::unique_ptr<const Model> make_unigram(const base::JsonNode& node);
std::unique_ptr<const Model> make_word_level(const base::JsonNode& node, JsonTables* tables);
std::unique_ptr<const Model> make_word_piece(const base::JsonNode& node, JsonTables* tables);
// The vocabulary of the file, from where it was read.
Vocabulary take_vocabulary(const base::JsonNode& model, JsonTables* tables);

}  // namespace preimage::text
