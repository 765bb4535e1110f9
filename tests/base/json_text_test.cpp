// JSON as it stands in the text.
#include "preimage/base/json_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"

namespace preimage::base {
namespace {

TEST(MemberText, IsWhatStandsInTheOutermostObject) {
  const std::string text =
      R"({"a": [1, {"b": 2, "x": "]"}], "s":"}\"", "b" : {"c": [ ]} , "n": -1.5e3, "t\u0065": null, "e": []})";
  EXPECT_EQ(member_text(text, "a"), R"([1, {"b": 2, "x": "]"}])");
  EXPECT_EQ(member_text(text, "s"), R"("}\"")");
  EXPECT_EQ(member_text(text, "b"), R"({"c": [ ]})");
  EXPECT_EQ(member_text(text, "n"), "-1.5e3");
  EXPECT_EQ(member_text(text, "te"), "null");
  EXPECT_EQ(member_text(text, "e"), "[]");
  EXPECT_EQ(member_text(text, "c"), "");
  EXPECT_EQ(member_text(text, "x"), "");
}

TEST(MemberText, OfWhatIsNoJsonEndsSomewhere) {
  for (const char* text :
       {"", "{", "[", "{\"a\"", "{\"a\":", "{\"a\": [1, 2", "}}]]", "\"", "{\"a\": \"\\", "{:,}"})
    EXPECT_LE(member_text(text, "a").size(), std::string_view(text).size()) << text;
}

TEST(VisitNumbers, NamesTheirPlace) {
  std::vector<std::string> seen;
  visit_numbers(
      R"({"tests": [{"args": [1, "2", -3.5], "k": {"x": 1e400}}, {"args": [[7]]}], "n": 8})",
      [&](const NumberText& number) {
        seen.push_back(number.path + " " + std::string(number.text) +
                       (number.is_integer() ? " i" : ""));
      });
  EXPECT_THAT(seen, testing::ElementsAre("tests[0].args[0] 1 i", "tests[0].args[2] -3.5",
                                         "tests[0].k.x 1e400", "tests[1].args[0][0] 7 i", "n 8 i"));
}

TEST(WithShortIntegers, KeepsPlacesAndWhatIsNotInThePart) {
  const std::string text =
      R"({"a": [1234567890123456789, -12345678901234567890, 1.5, "12345678901234567890"], "b": 12345678901234567890})";
  EXPECT_EQ(
      with_short_integers(text, member_text(text, "a")),
      R"({"a": [0                  , 0                    , 1.5, "12345678901234567890"], "b": 12345678901234567890})");
  EXPECT_EQ(with_short_integers(text, ""), text);
}

TEST(ParseJson, NamesANumberBeyondTheLargest) {
  try {
    parse_json("{\"a\": 1,\n \"b\": [2, -1e400]}", "f.json");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "f.json:2:11: b[1]: found -1e400, which is beyond the largest number (1.8e308)");
  }
}

}  // namespace
}  // namespace preimage::base
