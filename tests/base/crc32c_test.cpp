// Examples of RFC 3720 B.4; and the instruction against the table.
#include "preimage/base/crc32c.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <string>

namespace preimage::base {
namespace {

TEST(Crc32c, PublishedVectors) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  std::string ascending(32, '\0');
  std::iota(ascending.begin(), ascending.end(), '\0');
  EXPECT_EQ(crc32c(ascending), 0x46dd794eu);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c("456789", crc32c("123")), 0xe3069283u);  // a seed goes on where it stopped
}

// Every length around a word, at every place in one, and from any value so far.
TEST(Crc32c, TheInstructionGivesWhatTheTableGives) {
  std::string text;
  for (int i = 0; i < 200; ++i) text.push_back(static_cast<char>(i * 37 + 11));
  for (size_t begin = 0; begin < 16; ++begin) {
    for (size_t size = 0; size <= 64; ++size) {
      const auto part = std::string_view(text).substr(begin, size);
      const auto seed = static_cast<uint32_t>(begin * 2654435761u);
      ASSERT_EQ(crc32c(part, seed), plain_crc32c(part, seed)) << begin << ", " << size;
    }
  }
}

}  // namespace
}  // namespace preimage::base
