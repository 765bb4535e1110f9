// Where each symbol stands in a sequence, as bits: what the bit-parallel comparisons read.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace preimage::text {

// For each distinct symbol a row of `words` machine words: bit i % 64 of word i / 64 is set where
// place i holds it. A symbol that the sequence does not hold has row 0, which is empty.
class MatchTable {
 public:
  template <class Symbol>
  explicit MatchTable(std::span<const Symbol> sequence)
      : size_(std::ssize(sequence)), words_((size_ + 63) / 64) {
    // At most half full, so that a probe seldom takes a second step.
    shift_ = 64 - std::bit_width(2 * sequence.size() | 15);
    slots_.resize(size_t{1} << (64 - shift_));
    masks_.resize(static_cast<size_t>(words_));
    for (int64_t i = 0; i < size_; ++i) {
      auto& slot = slots_[find(key_of(sequence[static_cast<size_t>(i)]))];
      if (slot.row == 0) {
        slot = {key_of(sequence[static_cast<size_t>(i)]), ++rows_};
        masks_.resize(masks_.size() + static_cast<size_t>(words_));
      }
      masks_[static_cast<size_t>(slot.row * words_ + i / 64)] |= uint64_t{1} << (i % 64);
    }
  }

  int64_t size() const { return size_; }
  int64_t words() const { return words_; }
  const uint64_t* masks() const { return masks_.data(); }

  // For each symbol of another sequence the offset of its row in masks().
  template <class Symbol>
  std::vector<int64_t> offsets(std::span<const Symbol> other) const {
    std::vector<int64_t> out(other.size());
    for (size_t i = 0; i < other.size(); ++i) out[i] = slots_[find(key_of(other[i]))].row * words_;
    return out;
  }

 private:
  struct Slot {
    uint64_t key = 0;
    int64_t row = 0;  // 0: empty
  };

  template <class Symbol>
  static uint64_t key_of(Symbol symbol) {
    return static_cast<uint64_t>(symbol);
  }

  // The slot of the key, or the empty one where it would be put.
  size_t find(uint64_t key) const {
    size_t at = static_cast<size_t>(key * 0x9E3779B97F4A7C15u >> shift_);
    while (slots_[at].row != 0 && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    return at;
  }

  int64_t size_, words_;
  int shift_;
  int64_t rows_ = 0;
  std::vector<Slot> slots_;
  std::vector<uint64_t> masks_;  // [rows + 1, words]
};

}  // namespace preimage::text
