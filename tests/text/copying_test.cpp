// Overlaps on the reference's values, and the rule that no copy passes.
#include "preimage/text/copying.hpp"

#include <gtest/gtest.h>

#include "preimage/text/code_tokens.hpp"

namespace preimage::text {
namespace {

TEST(CodeTokens, DivideAtLayoutAndPunctuation) {
  const std::vector<std::string> expected = {"def", "f",      "(", "x", ")",
                                             ":",   "return", "x", "+", "1"};
  EXPECT_EQ(code_tokens("def F(x):\n\treturn  x+1\r\n"), expected);
  EXPECT_EQ(code_tokens("Überlänge_2 'a b'"),
            (std::vector<std::string>{"Überlänge_2", "'", "a", "b", "'"}));
  EXPECT_TRUE(code_tokens(" \n\t").empty());
}

TEST(Copying, OverlapsOfTheReference) {
  const auto target = code_tokens("def f ( x ) : return x + one");
  const auto near = code_tokens("return x + one please");
  EXPECT_DOUBLE_EQ(ngram_overlap(near, target, 1), 4.0 / 5);
  EXPECT_DOUBLE_EQ(ngram_overlap(near, target, 2), 3.0 / 4);
  EXPECT_NEAR(ngram_overlap(near, target, 3), 0.666666666667, 5e-13);
  const auto far = code_tokens("write a function f that returns x plus one");
  EXPECT_DOUBLE_EQ(ngram_overlap(far, target, 1), 3.0 / 9);
  EXPECT_EQ(ngram_overlap(far, target, 2), 0);
  EXPECT_EQ(ngram_overlap(far, target, 3), 0);
  EXPECT_EQ(ngram_overlap(code_tokens("a b"), target, 3), 0);  // no n-gram at all
  // Clipped: the target has "x x" once.
  EXPECT_DOUBLE_EQ(ngram_overlap(code_tokens("x x x x"), code_tokens("x x y"), 2), 1.0 / 3);
}

TEST(Copying, LongestRun) {
  EXPECT_EQ(longest_common_run(code_tokens("a b c d e"), code_tokens("z b c d q a b c")), 3);
  EXPECT_EQ(longest_common_run(code_tokens(""), code_tokens("a")), 0);
  const auto measured = copying("now return x + one please", "def f ( x ) : return x + one");
  EXPECT_EQ(measured.longest_run, 4);
  EXPECT_EQ(measured.prompt_tokens, 6);
  EXPECT_EQ(measured.target_tokens, 10);
}

TEST(Copying, NoVariantOfTheTargetPasses) {
  const std::string target =
      "def clamp(value, low, high):\n    if value < low:\n        return low\n"
      "    return min(value, high)";
  for (const std::string& prompt :
       {target, "print this code: " + target, target.substr(0, 40),
        std::string("DEF CLAMP( VALUE ,LOW,\tHIGH ) : IF VALUE<LOW : RETURN LOW"),
        "print this code: " + target.substr(0, 45)}) {
    EXPECT_FALSE(is_no_copy(copying(prompt, target))) << prompt;
  }
  EXPECT_TRUE(is_no_copy(copying("write clamp: a value kept between two bounds", target)));
}

TEST(Copying, TheRunMayGrowWithTheTarget) {
  EXPECT_TRUE(is_no_copy({.overlap = 0.2, .longest_run = 4, .target_tokens = 60}));
  EXPECT_FALSE(is_no_copy({.overlap = 0.2, .longest_run = 5, .target_tokens = 60}));
  EXPECT_TRUE(is_no_copy({.overlap = 0.2, .longest_run = 9, .target_tokens = 200}));
  EXPECT_FALSE(is_no_copy({.overlap = 0.2, .longest_run = 10, .target_tokens = 200}));
  EXPECT_FALSE(is_no_copy({.overlap = 0.21, .longest_run = 0, .target_tokens = 200}));
  EXPECT_TRUE(is_no_copy({.overlap = 0.21, .longest_run = 6, .target_tokens = 60},
                         {.overlap = 0.3, .run = 7}));
}

}  // namespace
}  // namespace preimage::text
