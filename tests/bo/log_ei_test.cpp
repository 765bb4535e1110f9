// Against values of 60 digits (mpmath) and against BoTorch: tests/bo/fixtures/log_ei.json, made by
// scripts/fixtures/make_bo_fixtures.py.
#include "preimage/bo/log_ei.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/bo/expected_improvement.hpp"

namespace preimage::bo {
namespace {

struct Row {
  double u, value, slope;
};

// log h and its derivative, by arithmetic of more than 60 digits.
constexpr Row kTable[] = {
    {-1e4, -50000019.33961930715704, 10000.00019999999400000},
    {-100, -5010.129578800249792, 100.0199940041958651},
    {-40, -808.2985683566199602, 40.04990665764851819},
    {-10, -55.55312203612235593, 10.19438303341255331},
    {-5, -16.74430116266099014, 5.361816241288088530},
    {-1.0001, -2.485311456445883362, 1.904343431716527362},
    {-1, -2.485121025712641337, 1.904271233329691823},
    {-0.9999, -2.484930602199176279, 1.904199036177194164},
    {-0.5, -1.620516264387319919, 1.559873148348079671},
    {0, -0.9189385332046727418, 1.253314137315500251},
    {0.5, -0.3598276837450638186, 0.9909227180041099601},
    {1, 0.08002621884930694003, 0.7766387252017392597},
    {5, 1.609437923126431385, 0.1999999405312200465},
    {40, 3.688879454113936303, 0.02500000000000000000},
};

TEST(LogEi, TableOfLogHAndItsSlope) {
  for (const auto& row : kTable) {
    const auto found = log_h(row.u);
    EXPECT_NEAR(found.value, row.value, 1e-12 * std::abs(row.value)) << row.u;
    EXPECT_NEAR(found.slope, row.slope, 1e-12 * row.slope) << row.u;
  }
  // Spacing 1 there.
  EXPECT_EQ(log_h(-1e8).value, -5000000000000038.0);
  EXPECT_NEAR(log_h(-1e8).slope, 100000000.00000002, 2e-8);
  EXPECT_TRUE(std::isnan(log_h(NAN).value));
}

// The tail alone, where a relative tolerance on log h would say nothing.
TEST(LogEi, TailKeepsItsPlaces) {
  for (const auto& row : kTable) {
    if (row.u > -10 || row.u < -100) continue;
    const double tail = log_h(row.u).value + row.u * row.u / 2;
    EXPECT_NEAR(tail, row.value + row.u * row.u / 2, 2e-12) << row.u;
  }
  // h = phi (1/u^2 - 3/u^4 + ...) at -1e4: log(1e8) and what follows.
  EXPECT_NEAR(log_h(-1e4).value + 5e7, -19.33961930715704, 1e-8);
}

TEST(LogEi, BranchesMeet) {
  for (const double at : {-1.0, -50.0, -1e5}) {
    const auto below = log_h(at * (1 + 1e-14)), above = log_h(at * (1 - 1e-14));
    EXPECT_NEAR(below.value, above.value, 1e-11 * std::abs(at * at)) << at;
    EXPECT_NEAR(below.slope, above.slope, 1e-11 * std::abs(at)) << at;
  }
}

TEST(LogEi, ExpectedImprovementOfTheReference) {
  struct Case {
    double best, mean, std, ei, log;
  };
  for (const auto& c : {Case{.10, .12, .02, 0.00166630941175, -6.39714403114},
                        Case{.10, .09, .02, 0.0139559311480, -4.27185068917},
                        Case{.10, .20, .02, 1.0692331067e-9, -20.6563241681}}) {
    EXPECT_NEAR(expected_improvement_below(c.best, c.mean, c.std), c.ei, 1e-10 * c.ei);
    EXPECT_NEAR(log_ei_below(c.best, c.mean, c.std).value, c.log, 5e-11);
  }
  // The plan's sign, in the first case.
  EXPECT_NEAR(expected_improvement_above(.10, .12, .02), 0.0216663094, 1e-10);
}

TEST(LogEi, AgreesWithBoTorch) {
  const auto fixture =
      base::read_json(std::string(PREIMAGE_TEST_DATA) + "/bo/fixtures/log_ei.json");
  ASSERT_GT(fixture.size(), 10u);
  for (const auto& c : fixture) {
    const double best = c["best"], mean = c["mean"], std = c["std"], u = (mean - best) / std;
    const auto above = log_ei_above(best, mean, std);
    // BoTorch's own second branch loses u^2 eps.
    const double loose = 1e-10 + 4e-16 * u * u;
    EXPECT_NEAR(above.value, c["value"].get<double>(), loose) << c;
    EXPECT_NEAR(above.by_mean, c["by_mean"].get<double>(), loose * std::abs(above.by_mean)) << c;
    // And u g of the 1 - u g that autograd takes, above 0.
    EXPECT_NEAR(above.by_std, c["by_std"].get<double>(), loose * above.by_std + 1e-14 / std) << c;
    EXPECT_EQ(above.by_best, -above.by_mean);
    const auto below = log_ei_below(-best, -mean, std);
    EXPECT_EQ(below.value, above.value);
    EXPECT_EQ(below.by_mean, -above.by_mean);
    EXPECT_EQ(below.by_std, above.by_std);
  }
}

TEST(LogEi, AStandardDeviationIsPositive) {
  EXPECT_THROW(log_ei_above(0, 0, 0), base::Error);
  EXPECT_THROW(erfcx(-1), base::Error);
}

}  // namespace
}  // namespace preimage::bo
