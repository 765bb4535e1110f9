#include "report/k_sweep.hpp"

#include <gtest/gtest.h>

namespace preimage::dcm {
namespace {

TEST(KSweep, SmallestKWithinFivePointsOfTheReference) {
  EXPECT_EQ(minimum_viable_k({{4, 0.5}, {8, 0.90}, {16, 0.93}, {32, 0.95}, {64, 1.0}}, 32), 8);
  EXPECT_EQ(minimum_viable_k({{4, 0.5}, {8, 0.89}, {16, 0.93}, {32, 0.95}}, 32), 16);
  EXPECT_EQ(minimum_viable_k({{8, 0.95}, {32, 1.0}}, 32), 8);  // 0.95 against 1 - 0.05
}

TEST(KSweep, WithoutTheReferenceTheLargestKStandsIn) {
  EXPECT_EQ(minimum_viable_k({{1, 0}, {2, 0.25}, {4, 1}, {8, 1}}, 32), 4);
}

TEST(KSweep, NoKIsViableWhereNothingIsExact) {
  EXPECT_EQ(minimum_viable_k({}, 32), 0);
  EXPECT_EQ(minimum_viable_k({{4, 0}, {32, 0}}, 32), 0);
  EXPECT_EQ(minimum_viable_k({{4, 0}, {32, 0.04}}, 32),
            32);  // 0 is within 5 points, yet never works
}

}  // namespace
}  // namespace preimage::dcm
