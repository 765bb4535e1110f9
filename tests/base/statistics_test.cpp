#include "preimage/base/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

// scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
TEST(Statistics, WilsonAgreesWithScipy) {
  struct Case {
    int64_t k, n;
    double low, high;
  };
  for (const auto& c :
       {Case{0, 5, 0, 0.43448246478317476}, Case{5, 5, 0.5655175352168251, 1},
        Case{16, 16, 0.8063923194655637, 1}, Case{3, 10, 0.10779126740630102, 0.6032218525388546},
        Case{71, 100, 0.6146110882442888, 0.7898516425087772},
        Case{1, 100, 0.001767432064140647, 0.054486196178705315},
        Case{692, 1319, 0.49765683549974177, 0.5514798161878663},
        Case{665, 1319, 0.47721451900973993, 0.5311009143527784},
        Case{1057, 1319, 0.7789717656621005, 0.8220072819017235},
        Case{43, 100, 0.3373329852411011, 0.5278461045078768}}) {
    const auto interval = wilson(c.k, c.n);
    EXPECT_DOUBLE_EQ(interval.estimate, static_cast<double>(c.k) / static_cast<double>(c.n));
    EXPECT_NEAR(interval.low, c.low, 1e-12) << c.k << " of " << c.n;
    EXPECT_NEAR(interval.high, c.high, 1e-12) << c.k << " of " << c.n;
  }
  EXPECT_TRUE(std::isnan(wilson(0, 0).estimate));
  EXPECT_EQ(wilson(0, 0).high, 1);
  EXPECT_THROW(wilson(3, 2), Error);
}

// scipy.stats.binomtest(min(b, c), b + c).pvalue
TEST(Statistics, McNemarAgreesWithScipy) {
  EXPECT_NEAR(mcnemar_exact(132, 105), 0.0910311056649362, 1e-12);
  EXPECT_NEAR(mcnemar_exact(29, 22), 0.4010619910279374, 1e-12);
  EXPECT_NEAR(mcnemar_exact(5, 0), 0.0625, 1e-15);
  EXPECT_DOUBLE_EQ(mcnemar_exact(7, 7), 1);
  EXPECT_DOUBLE_EQ(mcnemar_exact(0, 0), 1);
}

}  // namespace
}  // namespace preimage::base
