#include "preimage/bo/matern.hpp"

#include <gtest/gtest.h>

namespace preimage::bo {
namespace {

TEST(Matern, ReferenceValues) {
  EXPECT_EQ(matern52(0), 1);
  EXPECT_NEAR(matern52(0.1), 0.991759236171, 1e-12);
  EXPECT_NEAR(matern52(0.5), 0.828649142418, 1e-12);
  EXPECT_NEAR(matern52(1), 0.523994108832, 1e-12);
  EXPECT_NEAR(matern52(2), 0.138660219139, 1e-12);
  EXPECT_NEAR(matern52(5), 0.000750933788874, 1e-15);
}

TEST(Matern, SlopeIsTheDerivativeAndFiniteAtZero) {
  EXPECT_EQ(matern52_slope(0), 0);
  for (const double r : {0.05, 0.3, 1.0, 2.5, 6.0}) {
    const double h = 1e-5;
    EXPECT_NEAR(matern52_slope(r), (matern52(r + h) - matern52(r - h)) / (2 * h), 1e-9) << r;
  }
}

}  // namespace
}  // namespace preimage::bo
