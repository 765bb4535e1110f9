#include "preimage/lines/jsonl.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>

#include "preimage/base/random.hpp"

namespace preimage::lines {
namespace {

TEST(JsonLines, SplitAtBothLineEnds) {
  const auto lines = split_lines("\xEF\xBB\xBF{}\r\n\n{}\n\n\n");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].text, "{}");
  EXPECT_EQ(lines[1].text, "");
  EXPECT_EQ(lines[2].number, 3);
  EXPECT_TRUE(split_lines("\n\n").empty());
  EXPECT_EQ(split_lines("{}").size(), 1u);
}

TEST(JsonLines, AnIdIsTheLineNumberOrOwn) {
  EXPECT_EQ(parse_line({7, "{}"}, "F")["id"], 7);
  EXPECT_EQ(parse_line({7, R"({"id":null})"}, "F")["id"], 7);
  EXPECT_EQ(parse_line({7, R"({"id":"x"})"}, "F")["id"], "x");
}

// The text is the shortest that a float reads back as: no shorter %.{n}g does.
TEST(JsonLines, NumbersAreTheShortestOfTheirFloat) {
  const base::RandomStream stream(1, "numbers", "test");
  for (uint64_t i = 0; i < 20000; ++i) {
    const auto value = std::bit_cast<float>(stream.bits(i));
    if (!std::isfinite(value)) continue;
    const auto text = line_text(shortest_number(value));
    EXPECT_EQ(std::bit_cast<int32_t>(std::strtof(text.c_str(), nullptr)),
              std::bit_cast<int32_t>(value))
        << text;
    char wide[64];
    int digits = 1;
    while (std::snprintf(wide, sizeof wide, "%.*g", digits, value),
           std::strtof(wide, nullptr) != value)
      ++digits;
    const auto significant = [](std::string number) {
      number = number.substr(0, number.find('e'));
      std::erase_if(number, [](char c) { return c < '0' || c > '9'; });
      number.erase(0, number.find_first_not_of('0'));
      while (!number.empty() && number.back() == '0') number.pop_back();
      return static_cast<int>(number.size());
    };
    EXPECT_LE(significant(text), digits) << text << " for " << wide;
  }
  EXPECT_EQ(line_text(shortest_number(0.1f)), "0.1");
  EXPECT_EQ(line_text(base::Json::parse(
                R"({"b":[1,2.0,-0.0,[],{},null,"é\"",true,1e300],"a":{"x":0.25}})")),
            R"({"a":{"x":0.25},"b":[1,2.0,-0.0,[],{},null,"é\"",true,1e+300]})");
  EXPECT_TRUE(shortest_number(NAN).is_null());
  EXPECT_TRUE(shortest_number(-INFINITY).is_null());
}

}  // namespace
}  // namespace preimage::lines
