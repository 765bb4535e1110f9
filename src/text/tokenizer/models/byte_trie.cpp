#include "tokenizer/models/byte_trie.hpp"

namespace preimage::text {

void ByteTrie::insert(std::string_view text, uint32_t value) {
  uint32_t node = 0;
  for (const char c : text) {
    const uint64_t key = uint64_t{node} << 8 | static_cast<uint8_t>(c);
    size_t at = find(key);
    if (slots_[at].key == UINT64_MAX) {
      if (2 * (values_.size() + 1) > slots_.size()) {
        grow();
        at = find(key);
      }
      slots_[at] = {key, static_cast<uint32_t>(values_.size())};
      values_.push_back(kNone);
    }
    node = slots_[at].node;
  }
  if (node != 0) values_[node] = value;
}

void ByteTrie::grow() {
  std::vector<Slot> old(slots_.size() * 2);
  old.swap(slots_);
  for (const auto& slot : old) {
    if (slot.key != UINT64_MAX) slots_[find(slot.key)] = slot;
  }
}

}  // namespace preimage::text
