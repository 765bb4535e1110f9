// The merges of a byte pair encoding, and reading them from a tokenizer.json.
#pragma once

#include <cstdint>
#include <vector>

#include "tokenizer/formats/json_tables.hpp"
#include "tokenizer/model.hpp"

namespace preimage::text {

constexpr uint32_t kNoMerge = UINT32_MAX;

struct Merge {
  uint32_t rank = kNoMerge;
  uint32_t id = 0;  // of the merged token
};

// (left id, right id) -> merge: open addressing, since this is the innermost lookup.
class MergeTable {
 public:
  explicit MergeTable(size_t count) {
    size_t capacity = 16;
    while (capacity < 2 * count) capacity *= 2;
    slots_.resize(capacity);
  }
  void set(uint32_t left, uint32_t right, Merge merge) {
    Slot& slot = slots_[find(key(left, right))];
    slot = {key(left, right), merge};
  }
  Merge get(uint32_t left, uint32_t right) const { return slots_[find(key(left, right))].merge; }

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    Merge merge;
  };
  static uint64_t key(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }
  size_t find(uint64_t wanted) const {
    const size_t mask = slots_.size() - 1;
    size_t at = (wanted * 0x9E3779B97F4A7C15ull >> 20) & mask;
    while (slots_[at].key != wanted && slots_[at].key != UINT64_MAX) at = (at + 1) & mask;
    return at;
  }
  std::vector<Slot> slots_;
};

// The "merges" of the file in their order. Both parts and the whole must be tokens; `prefix`:
// letters at the beginning of right parts that the whole does not have.
MergeTable read_merges(const base::JsonNode& list, const Vocabulary& vocabulary, size_t prefix);
// The same from what was read before. `list` is where they stand in the file.
MergeTable take_merges(const JsonTables& tables, const base::JsonNode& list,
                       const Vocabulary& vocabulary, size_t prefix);

}  // namespace preimage::text
