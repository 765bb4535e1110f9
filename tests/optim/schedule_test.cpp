#include "preimage/optim/schedule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "preimage/base/error.hpp"

namespace preimage::optim {
namespace {

TEST(Schedule, DefaultIsCosineFromAHundredthOver500Steps) {
  const ScheduleOptions options;
  // Closed form, 12 digits, computed independently.
  const std::vector<std::pair<int64_t, double>> expected = {
      {0, 0.01},    {1, 0.00999990130428},    {100, 0.00904508497187},
      {250, 0.005}, {499, 9.86957193144e-08}, {500, 0}};
  for (const auto& [step, rate] : expected) {
    EXPECT_NEAR(learning_rate(options, step), rate, 1e-12 * rate + 5e-15) << "step " << step;
  }
  EXPECT_EQ(learning_rate(options, 500), 0);
  EXPECT_EQ(learning_rate(options, 10000), 0);
}

TEST(Schedule, WarmRestartsDoubleTheirPeriod) {
  const ScheduleOptions options{.kind = "warm-restarts", .lr = 1, .steps = 5000};
  const std::vector<std::pair<int64_t, double>> expected = {
      {0, 1}, {400, 0.5}, {799, 3.855e-6}, {800, 1}, {1600, 0.5}, {2400, 1}, {5000, 0.084265}};
  for (const auto& [step, factor] : expected) {
    EXPECT_NEAR(learning_rate(options, step), factor, 5e-7) << "step " << step;
  }
  // Its relative accuracy too, where the value is small: (pi / 1600)^2 to first order.
  EXPECT_NEAR(learning_rate(options, 799) / 3.855e-6, 1, 2e-4);
}

TEST(Schedule, WarmRestartsOfEqualPeriodsAndVeryLateSteps) {
  ScheduleOptions options{.kind = "warm-restarts", .lr = 2, .first_period = 10, .period_factor = 1};
  EXPECT_DOUBLE_EQ(learning_rate(options, 30), 2);
  EXPECT_DOUBLE_EQ(learning_rate(options, 35), 1);
  options.period_factor = 100;
  EXPECT_TRUE(std::isfinite(learning_rate(options, INT64_MAX)));
}

TEST(Schedule, CoarseFineSwitchesOnceAndResetsTheMomentsThere) {
  const ScheduleOptions options{.kind = "coarse-fine", .lr = 0.05};
  EXPECT_EQ(learning_rate(options, 0), 0.05);
  EXPECT_EQ(learning_rate(options, 199), 0.05);
  EXPECT_EQ(learning_rate(options, 200), 0.005);
  EXPECT_EQ(learning_rate(options, 499), 0.005);
  for (int64_t step = 0; step < 500; ++step) {
    EXPECT_EQ(resets_moments_at(options, step), step == 200) << "step " << step;
  }
}

TEST(Schedule, OnlyCoarseFineResetsMoments) {
  for (const char* kind : {"constant", "cosine", "warm-restarts", "warmup-cosine"}) {
    const ScheduleOptions options{.kind = kind};
    for (const int64_t step : {0, 1, 200, 499, 800}) {
      EXPECT_FALSE(resets_moments_at(options, step)) << kind << " step " << step;
    }
  }
}

TEST(Schedule, WarmupCosineRisesLinearlyThenFallsToItsFraction) {
  const ScheduleOptions options{.kind = "warmup-cosine",
                                .lr = 0.004,
                                .steps = 110,
                                .warmup_steps = 10,
                                .final_fraction = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(options, 0), 0.0004);
  EXPECT_DOUBLE_EQ(learning_rate(options, 4), 0.002);
  EXPECT_DOUBLE_EQ(learning_rate(options, 9), 0.004);
  EXPECT_DOUBLE_EQ(learning_rate(options, 10), 0.004);
  EXPECT_NEAR(learning_rate(options, 60), 0.0022, 1e-15);  // half way: (1 + 0.1) / 2
  EXPECT_NEAR(learning_rate(options, 110), 0.0004, 1e-15);
  EXPECT_NEAR(learning_rate(options, 1000), 0.0004, 1e-15);
}

TEST(Schedule, ConstantStaysAndANegativeStepIsABug) {
  const ScheduleOptions options{.kind = "constant", .lr = 0.3};
  EXPECT_EQ(learning_rate(options, 0), 0.3);
  EXPECT_EQ(learning_rate(options, 1000000), 0.3);
  EXPECT_THROW(learning_rate(options, -1), base::Error);
}

TEST(Schedule, FieldsRefuseUnknownKindsAndCheckComparesLengths) {
  ScheduleOptions options;
  auto fields = base::fields_of(options);
  EXPECT_EQ(base::read_fields(fields, {{"kind", "linear"}}, "job.json").size(), 1u);
  EXPECT_TRUE(options.check("").empty());
  options.kind = "coarse-fine";
  options.coarse_steps = 500;
  const auto errors = options.check("dcm.schedule.");
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_NE(errors[0].find("dcm.schedule.coarse_steps"), std::string::npos) << errors[0];
  options = {.kind = "warmup-cosine", .steps = 10, .warmup_steps = 10};
  EXPECT_EQ(options.check("").size(), 1u);
}

}  // namespace
}  // namespace preimage::optim
