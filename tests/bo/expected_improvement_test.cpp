#include "preimage/bo/expected_improvement.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/error.hpp"

namespace preimage::bo {
namespace {

TEST(ExpectedImprovement, ReferenceValuesAndSigns) {
  EXPECT_NEAR(expected_improvement_below(.10, .12, .02), 0.00166630941175, 1e-14);
  EXPECT_NEAR(expected_improvement_below(.10, .09, .02), 0.0139559311480, 1e-13);
  EXPECT_NEAR(expected_improvement_below(.10, .20, .02), 1.06923310788e-9, 1e-15);
  EXPECT_EQ(expected_improvement_above(-.10, -.12, .02), expected_improvement_below(.10, .12, .02));
  EXPECT_GE(expected_improvement_below(0, 50, 1), 0);
  EXPECT_THROW(expected_improvement_below(0, 0, 0), base::Error);
}

// As an average over draws, by the trapezoid rule.
TEST(ExpectedImprovement, IsTheMeanOfTheImprovement) {
  const double best = 0.3, mean = 0.4, std = 0.2;
  double sum = 0;
  const int steps = 40000;
  for (int i = 0; i <= steps; ++i) {
    const double u = -10 + 20.0 * i / steps;
    sum += std::max(0.0, best - (mean + std * u)) * normal_density(u) * 20 / steps;
  }
  EXPECT_NEAR(expected_improvement_below(best, mean, std), sum, 1e-8);
}

}  // namespace
}  // namespace preimage::bo
