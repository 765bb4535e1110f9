// How many units a worker holds at a time.
#include "unit_runner.hpp"

#include <gtest/gtest.h>

namespace preimage::dcm {
namespace {

TEST(UnitsAtOnce, AreTheShareOfAWorkerWhereItFitsABatch) {
  EXPECT_EQ(units_at_once(10, 1, 930, 4096), 10);
  EXPECT_EQ(units_at_once(10, 3, 930, 4096), 4);
}

// 128 units of 93 positions and batches of 4096: 44 + 44 + 40 would leave one of two workers idle
// for the last round.
TEST(UnitsAtOnce, AreEqualRounds) {
  EXPECT_EQ(units_at_once(128, 1, 128 * 93, 4096), 43);
  EXPECT_EQ(units_at_once(128, 2, 128 * 93, 4096), 32);
  EXPECT_EQ(units_at_once(128, 4, 128 * 93, 4096), 32);
}

TEST(UnitsAtOnce, AreNeverNone) {
  EXPECT_EQ(units_at_once(3, 8, 300, 24), 1);
  EXPECT_EQ(units_at_once(0, 2, 0, 24), 1);
}

}  // namespace
}  // namespace preimage::dcm
