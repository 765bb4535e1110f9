#include "preimage/eval/pass_at_k.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "preimage/base/error.hpp"

namespace preimage::eval {
namespace {

TEST(PassAtK, PassAtKIsTheExactShareOfDraws) {
  struct Case {
    int64_t n, c, k;
    double expected;
  };
  for (const auto& [n, c, k, expected] :
       {Case{100, 5, 1, 0.05}, Case{100, 5, 10, 79137.0 / 190120}, Case{100, 1, 10, 0.1},
        Case{16, 3, 1, 0.1875}, Case{16, 3, 4, 17.0 / 28}, Case{16, 3, 16, 1}, Case{16, 0, 4, 0},
        Case{16, 13, 4, 1}, Case{10, 3, 5, 11.0 / 12}}) {
    EXPECT_NEAR(pass_at_k({n, c}, k), expected, 1e-13) << n << " " << c << " " << k;
  }
  EXPECT_THROW(pass_at_k({4, 1}, 5), base::Error);
  const std::vector<PassCount> two = {{16, 3}, {10, 3}};
  EXPECT_NEAR(mean_pass_at_k(two, 5), (pass_at_k({16, 3}, 5) + 11.0 / 12) / 2, 1e-13);
}

TEST(PassAtK, BaselinesOfFourProblems) {
  const std::vector<PassCount> counts = {{16, 0}, {16, 16}, {16, 4}, {16, 8}};
  EXPECT_DOUBLE_EQ(random_pass_at_1(counts), 0.4375);
  EXPECT_DOUBLE_EQ(oracle_pass_at_1(counts), 0.75);
  EXPECT_TRUE(std::isnan(random_pass_at_1({})));
}

TEST(PassAtK, GapRecovered) {
  EXPECT_NEAR(gap_recovered(66.93, 60.94, 90.27), 0.204227753154, 1e-12);
  EXPECT_DOUBLE_EQ(gap_recovered(0.75, 0.4375, 0.75), 1);
  EXPECT_TRUE(std::isnan(gap_recovered(0.5, 0.5, 0.5)));
}

}  // namespace
}  // namespace preimage::eval
