#include "report/curve.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "preimage/base/error.hpp"

namespace preimage::dcm {
namespace {

std::vector<double> curve_of(int n, const std::function<double(double)>& h) {
  std::vector<double> out;
  for (int i = 0; i < n; ++i) out.push_back(h(i));
  return out;
}

// Expected figures from an independent numpy script over the same 100-step curves.
TEST(Curve, SmoothDecayIsMonotone) {
  const auto report =
      classify_curve(curve_of(100, [](double i) { return 10 * std::exp(-i / 20) + 0.1; }));
  EXPECT_EQ(report.curve, CurveClass::monotone);
  EXPECT_EQ(report.t10, 4);
  EXPECT_EQ(report.t50, 15);
  EXPECT_NEAR(report.drop, 0.9818497201331654, 1e-12);
  EXPECT_NEAR(report.rebound, 0.0005427027734185928, 1e-12);
  EXPECT_EQ(report.up_down, 0);
}

TEST(Curve, LatePlungeIsPlateauThenDrop) {
  const auto report = classify_curve(
      curve_of(100, [](double i) { return i < 50 ? 10.0 : 10 * std::exp(-(i - 50) / 3) + 0.1; }));
  EXPECT_EQ(report.curve, CurveClass::plateau_then_drop);
  EXPECT_EQ(report.t10, 51);
  EXPECT_EQ(report.t50, 53);
}

TEST(Curve, BarelyFallingIsFlat) {
  const auto report = classify_curve(curve_of(100, [](double i) { return 10 - 0.001 * i; }));
  EXPECT_EQ(report.curve, CurveClass::flat);
  EXPECT_NEAR(report.drop, 0.0097, 5e-5);
}

TEST(Curve, ReboundIsDiverging) {
  const auto report = classify_curve(curve_of(
      100, [](double i) { return 10 * std::exp(-i / 15) + 0.15 * std::max(0.0, i - 60); }));
  EXPECT_EQ(report.curve, CurveClass::diverging);
  EXPECT_NEAR(report.rebound, 0.5808, 5e-5);
}

TEST(Curve, ZigzagIsOscillating) {
  const auto report = classify_curve(curve_of(
      100, [](double i) { return 8 - 4 * i / 100 + (static_cast<int>(i) % 2 == 0 ? 1 : -1); }));
  EXPECT_EQ(report.curve, CurveClass::oscillating);
  EXPECT_NEAR(report.up_down, 0.9416, 5e-5);
  EXPECT_NEAR(report.rebound, 0.1097, 5e-5);
}

TEST(Curve, AnyNonFiniteLossIsDiverged) {
  std::vector<double> losses(50, 10.0);
  losses.push_back(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(classify_curve(losses).curve, CurveClass::diverged);
  EXPECT_EQ(classify_curve(losses).t10, -1);
  losses.back() = std::numeric_limits<double>::infinity();
  EXPECT_EQ(classify_curve(losses).curve, CurveClass::diverged);
}

TEST(Curve, HealthFollowsThePlan) {
  EXPECT_EQ(health(CurveClass::monotone), "OK");
  EXPECT_EQ(health(CurveClass::plateau_then_drop), "OK");
  EXPECT_EQ(health(CurveClass::oscillating), "WARN");
  EXPECT_EQ(health(CurveClass::flat), "FAIL");
  EXPECT_EQ(health(CurveClass::diverging), "FAIL");
  EXPECT_EQ(health(CurveClass::diverged), "FAIL");
  EXPECT_EQ(name(CurveClass::plateau_then_drop), "PLATEAU_THEN_DROP");
}

TEST(Curve, ShortAndDegenerateCurves) {
  EXPECT_EQ(classify_curve(std::vector<double>{3.0}).curve, CurveClass::flat);
  EXPECT_EQ(classify_curve(std::vector<double>{0, 0, 0}).curve, CurveClass::flat);
  EXPECT_EQ(classify_curve(std::vector<double>{1, 2, 3}).curve, CurveClass::flat);
  EXPECT_EQ(classify_curve(std::vector<double>{9, 6, 4, 2, 1, 0.5, 0.2}).curve,
            CurveClass::monotone);
  EXPECT_THROW(classify_curve({}), base::Error);
}

TEST(Curve, RunningMedianTruncatesItsWindowAtTheEnds) {
  const std::vector<double> values = {5, 1, 4, 2, 3};
  EXPECT_EQ(running_median(values, 5), (std::vector<double>{4, 3, 3, 2.5, 3}));
  EXPECT_EQ(running_median(values, 1), values);
  EXPECT_THROW(running_median(values, 4), base::Error);
}

}  // namespace
}  // namespace preimage::dcm
