// Python's re.match and re.fullmatch.
#include "preimage/text/pattern.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "preimage/base/error.hpp"

namespace preimage::text {
namespace {

TEST(Pattern, MatchesAtTheStartOrWhole) {
  const Pattern pattern(R"((?:.*\.)?(?:q|k)_proj$)", "F");
  EXPECT_TRUE(pattern.matches_start("model.layers.0.q_proj"));
  EXPECT_FALSE(pattern.matches_start("model.layers.0.q_proj.x"));
  const Pattern open("q_p", "F");
  EXPECT_TRUE(open.matches_start("q_proj"));
  EXPECT_FALSE(open.matches_whole("q_proj"));
  EXPECT_FALSE(open.matches_start("a.q_proj"));
  EXPECT_TRUE(Pattern("a|ab", "F").matches_whole("ab"));
}

TEST(Pattern, GroupsByName) {
  const Pattern pattern(R"(.*?\.[^.]*\.(?P<idx>\d+)\.)", "F");
  EXPECT_EQ(pattern.named_group("model.layers.12.mlp.experts.3.up", "idx"), "12");
  EXPECT_EQ(pattern.named_group("model.norm", "idx"), std::nullopt);
}

std::string error_of(const std::string& expression, const std::string& text) {
  try {
    Pattern(expression, "adapter_config.json").matches_whole(text);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ExitCode::bad_data);
    return error.what();
  }
  return "";
}

TEST(Pattern, WhatIsNotUnderstoodAndWhatWouldNeverEnd) {
  EXPECT_THAT(error_of("(", "x"), testing::HasSubstr("adapter_config.json: the regular"));
  EXPECT_THAT(error_of("(a*)*b", std::string(64, 'a') + "cb"), testing::HasSubstr("fails on"));
}

}  // namespace
}  // namespace preimage::text
