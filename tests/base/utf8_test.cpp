#include "preimage/base/utf8.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

std::string from_hex(const std::string& hex) {
  std::string out;
  if (hex == "-") return out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return out;
}

// scripts/fixtures/make_utf8_cases.py: what Python's decoder says.
TEST(Utf8, AgreesWithPython) {
  std::ifstream cases(PREIMAGE_TEST_DATA "/base/utf8_cases.txt");
  std::string bytes, replaced;
  int64_t bad = 0;
  int count = 0;
  for (; cases >> bytes >> replaced >> bad; ++count) {
    const auto text = from_hex(bytes);
    EXPECT_EQ(static_cast<int64_t>(first_invalid_utf8(text)), bad) << bytes;
    EXPECT_EQ(replace_invalid_utf8(text), from_hex(replaced)) << bytes;
    EXPECT_EQ(unescape_text(escape_text(text)), text) << bytes;
    EXPECT_EQ(first_invalid_utf8(escape_text(text)), std::string::npos) << bytes;
    EXPECT_EQ(escape_text(text).find('\0'), std::string::npos) << bytes;
  }
  EXPECT_GT(count, 600);
}

TEST(Utf8, EveryCodePointGoesThereAndBack) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(c, text);
    ASSERT_EQ(decode_utf8(text), std::vector<char32_t>{c});
  }
  EXPECT_THROW(decode_utf8("\xff"), Error);
}

TEST(Utf8, EscapesAreReadable) {
  EXPECT_EQ(escape_text("plain \xc3\xa9\n"), "plain \xc3\xa9\n");
  EXPECT_EQ(escape_text(std::string("a\0b\\c", 5)), "a\\u0000b\\\\c");
  EXPECT_EQ(escape_text("\xed\xa0\x80\xed\xbf\xbf"), "\\ud800\\udfff");
  EXPECT_EQ(escape_text("\xff\xed\xa0"), "\\xff\\xed\\xa0");
  for (const auto* text : {"\\", "\\q", "\\x1", "\\xG0", "\\u0001", "\\ud80", "\\ud7ff", "a\\"}) {
    EXPECT_THROW(unescape_text(text), Error) << text;
  }
}

}  // namespace
}  // namespace preimage::base
