#include "edit_distance.hpp"

#include <vector>

namespace preimage::verifier {
namespace {

// 64 rows of the table of distances, as differences between neighbouring rows.
struct Block {
  uint64_t plus = ~uint64_t{0};  // rows that are one above the row before
  uint64_t minus = 0;            // rows that are one below
};

// Moves a block one column on. `carry` is the difference of its upper edge on entry and of the row
// `last` on return.
int advance(Block& block, uint64_t matches, int carry, uint64_t last) {
  const uint64_t carry_minus = carry < 0 ? 1 : 0;
  const uint64_t vertical = matches | block.minus;
  const uint64_t equal = matches | carry_minus;
  const uint64_t diagonal = (((equal & block.plus) + block.plus) ^ block.plus) | equal;
  uint64_t horizontal_plus = block.minus | ~(diagonal | block.plus);
  uint64_t horizontal_minus = block.plus & diagonal;
  const int out = (horizontal_plus & last) ? 1 : (horizontal_minus & last) ? -1 : 0;
  horizontal_plus = (horizontal_plus << 1) | (carry > 0 ? 1 : 0);
  horizontal_minus = (horizontal_minus << 1) | carry_minus;
  block.plus = horizontal_minus | ~(vertical | horizontal_plus);
  block.minus = horizontal_plus & vertical;
  return out;
}

}  // namespace

int64_t edit_distance(std::string_view a, std::string_view b) {
  if (a.empty()) return static_cast<int64_t>(b.size());
  const size_t blocks = (a.size() + 63) / 64;
  std::vector<uint64_t> matches(256 * blocks, 0);  // [byte, block]: rows that hold the byte
  for (size_t i = 0; i < a.size(); ++i)
    matches[static_cast<unsigned char>(a[i]) * blocks + i / 64] |= uint64_t{1} << (i % 64);
  std::vector<Block> column(blocks);
  const uint64_t top = uint64_t{1} << 63, bottom = uint64_t{1} << ((a.size() - 1) % 64);
  auto distance = static_cast<int64_t>(a.size());
  for (const char c : b) {
    int carry = 1;  // the first row counts the bytes of b
    const uint64_t* row = &matches[static_cast<unsigned char>(c) * blocks];
    for (size_t k = 0; k < blocks; ++k)
      carry = advance(column[k], row[k], carry, k + 1 == blocks ? bottom : top);
    distance += carry;
  }
  return distance;
}

}  // namespace preimage::verifier
