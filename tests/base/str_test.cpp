#include "preimage/base/str.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace preimage::base {
namespace {

TEST(Str, Numbers) {
  EXPECT_EQ(shortest(0.1f), "0.1");
  EXPECT_EQ(shortest(0.1), "0.1");
  EXPECT_EQ(shortest(1.0 / 3), "0.3333333333333333");
  EXPECT_EQ(shortest(1.0f / 3), "0.33333334");
  EXPECT_EQ(shortest(-INFINITY), "-inf");
  EXPECT_EQ(shortest(NAN), "nan");
  EXPECT_EQ(human_bytes(812), "812 B");
  EXPECT_EQ(human_bytes(1536ull << 20), "1.5 GiB");
  EXPECT_EQ(human_seconds(0.84), "0.8 s");
  EXPECT_EQ(human_seconds(45), "45 s");
  EXPECT_EQ(human_seconds(125), "2 min 05 s");
  EXPECT_EQ(human_seconds(2 * 3600 + 185), "2 h 03 min");
  EXPECT_EQ(str("line ", 3, ':'), "line 3:");
  EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
}

TEST(Str, NearestWord) {
  const std::vector<std::string> words = {"learning_rate", "seed", "kind"};
  EXPECT_EQ(nearest("learnign_rate", words), "learning_rate");
  EXPECT_EQ(nearest("sed", words), "seed");
  EXPECT_EQ(nearest("temperature", words), "");
  EXPECT_EQ(nearest("", {}), "");
}

}  // namespace
}  // namespace preimage::base
