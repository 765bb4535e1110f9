#include "tokenizer/models/merge_table.hpp"

#include <optional>

#include "preimage/base/str.hpp"

namespace preimage::text {
namespace {

struct MergeParts {
  std::string_view left, right;
};

// "a b" or ["a", "b"]; nothing for a version line.
std::optional<MergeParts> read_merge(const base::JsonNode& list, size_t index) {
  const auto& entry = list.json()[index];
  if (entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_string()) {
    return MergeParts{entry[0].get_ref<const std::string&>(),
                      entry[1].get_ref<const std::string&>()};
  }
  if (!entry.is_string()) list.at(index).wrong_type("\"a b\" or [\"a\", \"b\"]");
  const std::string_view text = entry.get_ref<const std::string&>();
  if (text.substr(0, 8) == "#version") return std::nullopt;
  const size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) {
    list.at(index).wrong_type("two tokens with exactly one space between them");
  }
  return MergeParts{text.substr(0, space), text.substr(space + 1)};
}

}  // namespace

MergeTable read_merges(const base::JsonNode& list, const Vocabulary& vocabulary, size_t prefix) {
  MergeTable table(list.size());
  uint32_t rank = 0;
  std::string whole;
  const auto require = [&](std::string_view token, size_t index) {
    const auto it = vocabulary.find(token);
    if (it != vocabulary.end()) return it->second;
    list.at(index).fail(base::str("token \"", token, "\" of this merge is not in the vocabulary"));
  };
  for (size_t i = 0; i < list.size(); ++i) {
    const auto parts = read_merge(list, i);
    if (!parts) continue;
    const uint32_t left = require(parts->left, i);
    const uint32_t right = require(parts->right, i);
    if (parts->right.size() < prefix)
      list.at(i).fail("right part is shorter than the subword prefix");
    whole = parts->left;
    whole += parts->right.substr(prefix);
    table.set(left, right, {rank++, require(whole, i)});
  }
  return table;
}

MergeTable take_merges(const JsonTables& tables, const base::JsonNode& list,
                       const Vocabulary& vocabulary, size_t prefix) {
  MergeTable table(tables.merges.size());
  uint32_t rank = 0;
  std::string whole;
  for (const auto& merge : tables.merges) {
    if (merge.right->size() < prefix) list.fail("right part is shorter than the subword prefix");
    whole = *merge.left;
    whole.append(*merge.right, prefix);
    const auto it = vocabulary.find(whole);
    if (it == vocabulary.end()) {
      list.fail(base::str("merge ", rank, ": token \"", whole, "\" is not in the vocabulary"));
    }
    table.set(merge.left_id, merge.right_id, {rank++, it->second});
  }
  return table;
}

}  // namespace preimage::text
