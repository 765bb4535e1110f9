// Kinds of characters as the tokenizers library sees them: its parts carry tables of different
// Unicode versions, and ids depend on them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace preimage::text {

struct CharacterRange {
  char32_t first, last;
};

// A set of characters, from a sorted table that outlives it.
class CharacterSet {
 public:
  template <size_t Size>
  explicit constexpr CharacterSet(const CharacterRange (&table)[Size])
      : table_(table), size_(Size) {}
  bool contains(char32_t c) const {
    size_t low = 0, high = size_;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (table_[middle].last < c) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < size_ && table_[low].first <= c;
  }

 private:
  const CharacterRange* table_;
  size_t size_;
};

bool is_white_space(char32_t c);  // the property White_Space
bool is_control(char32_t c);      // what BertNormalizer drops
bool is_nonspacing(char32_t c);   // Mn, as BertNormalizer knows them
bool is_mark(char32_t c);         // M, as StripAccents knows them
bool is_punctuation(char32_t c);
bool is_numeric(char32_t c);
bool is_word(char32_t c);  // \w
// Younger than the library's normalization tables: left as it is, and nothing moves across it.
bool is_young(char32_t c);
char32_t lower_case(char32_t c);

}  // namespace preimage::text
