#include "tokenizer/model.hpp"

#include "tokenizer/component.hpp"
#include "tokenizer/formats/json_tables.hpp"

namespace preimage::text {

Vocabulary read_vocabulary(const base::JsonNode& node) {
  if (!node.json().is_object()) node.wrong_type("an object from token to id");
  Vocabulary out;
  out.reserve(node.json().size());
  std::unordered_map<uint32_t, const std::string*> seen;
  seen.reserve(node.json().size());
  for (const auto& [token, value] : node.json().items()) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > static_cast<uint64_t>(kMaxTokenId)) {
      node.fail(base::str("token \"", token, "\" has ", base::described(value),
                          " as id, expected an integer from 0 to ", kMaxTokenId));
    }
    const auto id = value.get<uint32_t>();
    const auto [at, inserted] = out.emplace(token, id);
    const auto [first, unique] = seen.emplace(id, &at->first);
    if (!unique) {
      node.fail(
          base::str("tokens \"", *first->second, "\" and \"", token, "\" have the same id ", id));
    }
  }
  return out;
}

Vocabulary take_vocabulary(const base::JsonNode& model, JsonTables* tables) {
  return tables == nullptr ? read_vocabulary(model.at("vocab")) : std::move(tables->vocabulary);
}

std::unique_ptr<const Model> make_model(const base::JsonNode& node, JsonTables* tables) {
  // Files of the first releases have no "type" here.
  if (node.json().is_object() && !node.json().contains("type") && node.json().contains("merges")) {
    return make_bpe(node, tables);
  }
  using Node = const base::JsonNode&;
  const ComponentTable<Model> table = {
      {"BPE", [&](Node n) { return make_bpe(n, tables); }},
      // One overload of several.
      {"Unigram", [](Node n) { return make_unigram(n); }},
      {"WordLevel", [&](Node n) { return make_word_level(n, tables); }},
      {"WordPiece", [&](Node n) { return make_word_piece(n, tables); }},
  };
  return make_component(table, node, "model");
}

}  // namespace preimage::text
