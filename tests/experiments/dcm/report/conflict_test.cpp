#include "report/conflict.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace preimage::dcm {
namespace {

using Vector = std::vector<double>;

GradientProducts products(const Vector& q, const Vector& a) {
  GradientProducts out;
  for (size_t i = 0; i < q.size(); ++i) {
    out.dot += q[i] * a[i];
    out.qq += q[i] * q[i];
    out.aa += a[i] * a[i];
  }
  return out;
}

TEST(Conflict, KappaIsTheCosine) {
  EXPECT_NEAR(kappa(products({1, 2, 0}, {-1, 1, 1})), 0.258198889747, 5e-13);
  EXPECT_NEAR(kappa(products({1, 0}, {-1, 1})), -0.707106781187, 5e-13);
  EXPECT_EQ(kappa(products({0.1, 0.7}, {0.1, 0.7})), 1);
  EXPECT_TRUE(std::isnan(kappa(products({0, 0}, {1, 1}))));
  EXPECT_NEAR(kappa(products({1e-100, 0}, {-1e-100, 1e-100})), -0.707106781187, 5e-13);
}

TEST(Conflict, ProjectionUsesTheOriginalGradientsForBoth) {
  const Vector q = {1, 0}, a = {-1, 1};
  const auto factors = projection_factors(products(q, a));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_DOUBLE_EQ(q[i] - factors.q_on_a * a[i], (Vector{0.5, 0.5})[i]);
    EXPECT_DOUBLE_EQ(a[i] - factors.a_on_q * q[i], (Vector{0, 1})[i]);
  }
}

TEST(Conflict, ProjectionLeavesAgreeingAndZeroGradientsAlone) {
  const auto agreeing = projection_factors(products({1, 2, 0}, {-1, 1, 1}));
  EXPECT_EQ(agreeing.q_on_a, 0);
  EXPECT_EQ(agreeing.a_on_q, 0);
  EXPECT_EQ(projection_factors(products({0, 0}, {1, 1})).q_on_a, 0);
}

TEST(Conflict, GradientRatio) {
  EXPECT_DOUBLE_EQ(gradient_ratio(products({3, 4}, {0, 2})), 2.5);
  EXPECT_TRUE(std::isinf(gradient_ratio(products({3, 4}, {0, 0}))));
}

TEST(Conflict, PearsonOfLevelsAndOfChanges) {
  const Vector q = {10, 8, 6, 5, 4}, a = {6, 6.5, 7, 7.2, 7.5};
  EXPECT_NEAR(pearson(q, a), -0.999389283084, 5e-13);
  EXPECT_NEAR(correlation_of_changes(q, a, 1), -0.962250448649, 5e-13);
  EXPECT_TRUE(std::isnan(pearson(Vector{1, 1}, Vector{1, 2})));
  EXPECT_TRUE(std::isnan(pearson(Vector{1}, Vector{2})));
}

// 200 steps of two falling, opposed losses; figures of scipy.stats.pearsonr.
TEST(Conflict, ChangesOverWindowsOfTenSteps) {
  Vector q, a;
  for (int i = 0; i < 200; ++i) {
    const double x = i;
    q.push_back(6 * std::exp(-x / 40) + 0.3 * std::sin(x / 3));
    a.push_back(4 * std::exp(-x / 60) - 0.2 * std::sin(x / 3) + 0.1 * std::cos(x / 7));
  }
  EXPECT_NEAR(pearson(q, a), 0.9458348493557193, 1e-12);
  EXPECT_NEAR(correlation_of_changes(q, a, 10), -0.21108767172341755, 1e-12);
}

ConflictTrace opposed(int steps, double kappa_value) {
  ConflictTrace trace;
  double q = 10, a = 10;
  for (int i = 0; i < steps; ++i) {
    trace.kappa.push_back(kappa_value);
    trace.ratio.push_back(2);
    trace.loss_q.push_back(q);
    trace.loss_a.push_back(a);
    const bool even = (i / 10) % 2 == 0;
    q -= even ? 0.2 : -0.05;
    a -= even ? -0.05 : 0.2;
  }
  return trace;
}

TEST(Conflict, PredicateNeedsBothOpposedChangesAndOpposedGradients) {
  const auto both = judge_conflict(opposed(200, -0.2));
  EXPECT_NEAR(both.r_d, -1, 1e-9);
  EXPECT_EQ(both.fraction_negative, 1);
  EXPECT_EQ(both.median_ratio, 2);
  EXPECT_TRUE(both.anti_correlate);
  EXPECT_FALSE(judge_conflict(opposed(200, 0.2)).anti_correlate);
  EXPECT_FALSE(judge_conflict(opposed(200, -0.2), {.max_correlation = -1}).anti_correlate);
  // Too short for two windows: undefined, not true.
  const auto brief = judge_conflict(opposed(15, -0.2));
  EXPECT_TRUE(std::isnan(brief.r_d));
  EXPECT_FALSE(brief.anti_correlate);
  EXPECT_FALSE(brief.known());
}

// Two changes always correlate by -1 or 1, few of anything by chance: no r_d below ten windows.
TEST(Conflict, FewWindowsSayNothing) {
  for (const int steps : {21, 30, 31, 100}) {
    const auto few = judge_conflict(opposed(steps, -0.2));
    EXPECT_TRUE(std::isnan(few.r_d)) << steps;
    EXPECT_FALSE(few.anti_correlate) << steps;
    EXPECT_FALSE(few.known()) << steps;
    EXPECT_EQ(few.fraction_negative, 1) << "kappa is known at every step";
  }
  const auto enough = judge_conflict(opposed(101, -0.2));  // ten windows of ten steps
  EXPECT_NEAR(enough.r_d, -1, 1e-9);
  EXPECT_TRUE(enough.anti_correlate);
  EXPECT_TRUE(enough.known());
  EXPECT_FALSE(std::isnan(judge_conflict(opposed(51, -0.2), {.window = 5}).r_d));
}

// What a single target has no conflict of is not known, and no zero.
TEST(Conflict, AReportThatNobodyFilledIsUnknown) {
  const ConflictReport none;
  for (const double value : {none.mean_kappa, none.fraction_negative, none.thirds_kappa[0],
                             none.thirds_kappa[2], none.r_d, none.median_ratio})
    EXPECT_TRUE(std::isnan(value));
  EXPECT_FALSE(none.known());
}

TEST(Conflict, HalfNegativeIsNotMoreThanHalf) {
  auto trace = opposed(200, -0.2);
  for (size_t i = 0; i < 100; ++i) trace.kappa[i] = 0.4;
  const auto report = judge_conflict(trace);
  EXPECT_EQ(report.fraction_negative, 0.5);
  EXPECT_FALSE(report.anti_correlate);
  EXPECT_NEAR(report.mean_kappa, 0.1, 1e-12);
}

TEST(Conflict, ThirdsSkipUndefinedSteps) {
  ConflictTrace trace;
  trace.kappa = {1, 0, std::numeric_limits<double>::quiet_NaN(), -0.5, -1, -1, -1};
  const auto report = judge_conflict(trace);
  EXPECT_DOUBLE_EQ(report.thirds_kappa[0], 0.5);   // steps 0, 1
  EXPECT_DOUBLE_EQ(report.thirds_kappa[1], -0.5);  // steps 2, 3
  EXPECT_DOUBLE_EQ(report.thirds_kappa[2], -1);    // steps 4, 5, 6
  EXPECT_DOUBLE_EQ(report.fraction_negative, 4.0 / 6);
  EXPECT_TRUE(std::isnan(judge_conflict({}).mean_kappa));
}

}  // namespace
}  // namespace preimage::dcm
