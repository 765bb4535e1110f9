// Numbers of answers, by both patterns (lipo.md section 1's cases and those of the recorded one).
#include "task/answers.hpp"

#include <gtest/gtest.h>

namespace preimage::lipo {
namespace {

double whole(const char* text) {
  return last_number(text, "whole").value_or(-12345);
}
double recorded(const char* text) {
  return last_number(text, "recorded").value_or(-12345);
}

TEST(LastNumber, TakesAnyNumberOfThousandsGroups) {
  EXPECT_EQ(whole("1,234,567"), 1234567);
  EXPECT_EQ(whole("It costs $1,000.50."), 1000.5);
  EXPECT_EQ(whole("5-3"), 3);
  EXPECT_EQ(whole("from 4 to -7"), -7);
  EXPECT_EQ(whole("-7 apples"), -7);
  EXPECT_EQ(whole("so 3, 12"), 12);
  EXPECT_EQ(whole("12,34"), 34);  // no group: two numbers
  EXPECT_EQ(whole("The answer is 42."), 42);
  EXPECT_EQ(whole("1,2345"), 2345);
  EXPECT_FALSE(last_number("none - at all", "whole"));
  EXPECT_FALSE(last_number("", "whole"));
}

TEST(LastNumber, TheRecordedPatternTakesOneGroup) {
  EXPECT_EQ(recorded("1,234,567"), 567);
  EXPECT_EQ(recorded("1,000.50"), 50);
  EXPECT_EQ(recorded("5-3"), -3);
  EXPECT_EQ(recorded("2.5"), 2.5);
}

TEST(RightNumber, ComparesWithinATolerance) {
  EXPECT_TRUE(right_number("#### 7", 7, "whole"));
  EXPECT_TRUE(right_number("7.0000005", 7, "whole"));
  EXPECT_FALSE(right_number("7.00001", 7, "whole"));
  EXPECT_FALSE(right_number("seven", 7, "whole"));
}

}  // namespace
}  // namespace preimage::lipo
