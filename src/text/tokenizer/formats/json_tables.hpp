// The two large tables of a tokenizer.json, "vocab" and "merges" of its model, read from its text
// without a tree of JSON in between: of a real file they are nearly all.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/model.hpp"

namespace preimage::text {

struct JsonMerge {
  const std::string *left, *right;  // keys of the vocabulary
  uint32_t left_id, right_id;
};

struct JsonTables {
  std::string rest;  // the whole text with both tables empty
  Vocabulary vocabulary;
  std::vector<JsonMerge> merges;
};

// Nothing where the file has no such tables, or where anything about them is not as it should be:
// who reads the whole then says what and where.
std::optional<JsonTables> cut_tables(std::string_view json);

}  // namespace preimage::text
