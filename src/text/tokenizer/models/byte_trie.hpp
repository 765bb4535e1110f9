// A trie over the bytes of a vocabulary.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace preimage::text {

class ByteTrie {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  ByteTrie() : slots_(16), values_(1, kNone) {}

  // A later value of the same text replaces the earlier one.
  void insert(std::string_view text, uint32_t value);

  // Calls found(length, value) for each text of the trie that `text` starts with, shortest first.
  template <class Found>
  void prefixes(std::string_view text, const Found& found) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node == kNone) return;
      if (values_[node] != kNone) found(i + 1, values_[node]);
    }
  }

 private:
  // (node, byte) -> node, by open addressing: a few nanoseconds for each byte of a text.
  struct Slot {
    uint64_t key = UINT64_MAX;
    uint32_t node = kNone;
  };
  size_t find(uint64_t key) const {
    const size_t mask = slots_.size() - 1;
    size_t at = (key * 0x9E3779B97F4A7C15ull >> 20) & mask;
    while (slots_[at].key != key && slots_[at].key != UINT64_MAX) at = (at + 1) & mask;
    return at;
  }
  uint32_t child(uint32_t node, uint8_t byte) const {
    return slots_[find(uint64_t{node} << 8 | byte)].node;
  }
  void grow();

  std::vector<Slot> slots_;
  std::vector<uint32_t> values_;  // of each node
};

}  // namespace preimage::text
