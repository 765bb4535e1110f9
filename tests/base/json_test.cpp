#include "preimage/base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string refusal(const std::string& text, const JsonLimits& limits = {}, int64_t line = 1) {
  try {
    parse_json(text, "j.json", limits, line);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::bad_data);
    return error.what();
  }
  return "accepted";
}

TEST(Json, AcceptsOneValueWithBomAndCrlf) {
  EXPECT_EQ(parse_json("\xEF\xBB\xBF{\r\n\"a\": [1, -2.5e3, \"\\u00e9\", null, true]}\r\n", "j"),
            (Json{{"a", {1, -2500.0, "\xc3\xa9", nullptr, true}}}));
  EXPECT_EQ(parse_json(" 7 ", "j"), 7);
  EXPECT_EQ(parse_json("18446744073709551615", "j").get<uint64_t>(), UINT64_MAX);
}

TEST(Json, NamesLineAndColumn) {
  EXPECT_EQ(refusal("{\n  \"a\": 1,\n  \"b\" 2\n}"), "j.json:3:7: not valid JSON: unexpected '2'");
  EXPECT_THAT(refusal("{\r\n\"a\": tru}"), StartsWith("j.json:2:"));
  EXPECT_THAT(refusal("[1,]", {}, 812), StartsWith("j.json:812:4: "));
  EXPECT_THAT(refusal("\xEF\xBB\xBF[1,]"), StartsWith("j.json:1:4: "));
}

TEST(Json, RefusesWhatIsNotOneCompleteValue) {
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  EXPECT_THAT(refusal("   \n"), HasSubstr("ends too early"));
  EXPECT_THAT(refusal("{\"a\": [1, 2"), HasSubstr("ends too early"));
  EXPECT_THAT(refusal("\"abc"), HasSubstr("ends too early"));
  EXPECT_THAT(refusal("{} x"), HasSubstr("j.json:1:4: not valid JSON: unexpected 'x'"));
  EXPECT_THAT(refusal("{}{}"), HasSubstr("1:3"));
  for (const auto* text :
       {"01", "1.", ".5", "+1", "'a'", "{a: 1}", "[1 2]", "// c\n1", "nul", "\"\t\"", "\"\\x\"",
        "\"\\ud800\"", "]", "}", "1]", "NaN", "-Infinity"}) {
    EXPECT_NE(refusal(text), "accepted") << text;
  }
}

TEST(Json, NulDoesNotEndTheText) {
  EXPECT_THAT(refusal(std::string("1\0 2", 4)), HasSubstr("j.json:1:2: not valid JSON"));
  EXPECT_THAT(refusal(std::string("1\0", 2)), HasSubstr("byte 0"));
  EXPECT_NE(refusal(std::string("\"a\0b\"", 5)), "accepted");
  EXPECT_EQ(parse_json("\"a\\u0000b\"", "j").get<std::string>(), std::string("a\0b", 3));
}

TEST(Json, InvalidUtf8HasItsOffset) {
  EXPECT_EQ(refusal("\x1f\x8b\x08"), "j.json: compressed with gzip; unpack it first (gunzip)");
  EXPECT_THAT(refusal("PK\x03\x04 ..."), HasSubstr("a zip archive"));
  EXPECT_THAT(refusal("\x89HDF\r\n\x1a\n"), HasSubstr("an HDF5 file"));
  EXPECT_EQ(refusal("[\n\"a\xff\"]"), "j.json:2:3: invalid UTF-8 at byte 4");
  EXPECT_THAT(refusal("\"\xed\xa0\x80\""), HasSubstr("invalid UTF-8"));
}

TEST(Json, DuplicateKeysNameTheSecond) {
  EXPECT_EQ(refusal("{\"a\": 1,\n \"b\": {\"a\": 2},\n \"a\": 3}"),
            "j.json:3:2: key \"a\" appears twice in one object; keep one");
  EXPECT_THAT(refusal("[{\"x\": 1},\n{\"x\": 1, \"x\": 2}]", {}, 10),
              StartsWith("j.json:11:10: key"));
  EXPECT_THAT(refusal("{\"a\": 1, \"\\u0061\": 2}"), HasSubstr("appears twice"));
  EXPECT_EQ(refusal("[{\"a\": 1}, {\"a\": {\"a\": 1}}]"), "accepted");
}

TEST(Json, DepthAndSizeAreBounded) {
  const std::string deep(100000, '[');
  EXPECT_EQ(refusal(deep), "j.json:1:65: nesting deeper than 64 levels");
  EXPECT_EQ(refusal(std::string(64, '[') + std::string(64, ']')), "accepted");
  EXPECT_NE(refusal(std::string(65, '[') + std::string(65, ']')), "accepted");
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  EXPECT_THAT(refusal(objects), HasSubstr("deeper than 64"));
  EXPECT_EQ(refusal("\"" + std::string(1000, '[') + "\""), "accepted");
  EXPECT_THAT(refusal(std::string(3 << 20, ' ')),
              HasSubstr("3.0 MiB of JSON, the limit is 1.0 MiB"));
  EXPECT_EQ(refusal("1e999"),
            "j.json:1:1: found 1e999, which is beyond the largest number (1.8e308)");
  EXPECT_THAT(refusal("{\"1e999\": 1,\n \"b\": [2, -1e400]}"),
              HasSubstr("j.json:2:11: b[1]: found -1e400"));
}

TEST(Json, NonFiniteNumbersBecomeNullWhereAllowed) {
  const JsonLimits allow{.allow_non_finite = true};
  EXPECT_EQ(parse_json("[NaN, Infinity, -Infinity, \"NaN\", \"\\\"NaN\", -1]", "j", allow),
            (Json{nullptr, nullptr, nullptr, "NaN", "\"NaN", -1}));
  for (const auto* text : {"NaNNaN", "-NaN", "NaN1", "nNaN", "{NaN: 1}", "InfinityInfinity"}) {
    EXPECT_NE(refusal(text, allow), "accepted") << text;
  }
  // Places are those of the text, though the words were replaced by longer and shorter ones.
  EXPECT_EQ(refusal("[NaN, NaN, -Infinity, x]", allow),
            "j.json:1:23: not valid JSON: unexpected 'x'");
  std::string many = "[";
  for (int i = 0; i < 200000; ++i) many += "NaN,";
  EXPECT_EQ(parse_json(many + "1]", "j", allow).size(), 200001u);  // and not in quadratic time
}

TEST(Json, CanonicalTextIsSortedAndShortest) {
  EXPECT_EQ(canonical({{"b", 0.1}, {"a", {1, 1e300, -0.0}}, {"A", "\xc3\xa9\n"}}),
            "{\"A\":\"\xc3\xa9\\n\",\"a\":[1,1e+300,-0.0],\"b\":0.1}");
  EXPECT_THROW(canonical("\xff"), Error);
}

TEST(Json, LinesOfKeys) {
  const std::string text =
      "{\"x\": \"lr\",\n\"a\": {\"lr\": 1},\n\"b\": [{\"q\": 0}], \"c\" :\n{\"lr\": 2}}";
  EXPECT_EQ(line_of_key(text, "lr"), 2);
  EXPECT_EQ(line_of_key(text, "none"), 0);
  EXPECT_EQ(line_of_path(text, {"c", "lr"}), 4);
  EXPECT_EQ(line_of_path(text, {"c"}), 3);
  EXPECT_EQ(line_of_path(text, {"lr"}), 0);
}

}  // namespace
}  // namespace preimage::base
