// Each early end and verdict on both of its sides.
#include "sweep/verdicts.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace preimage::grpo {
namespace {

using Differences = std::vector<double>;

TEST(SweepVerdicts, FutilityNeedsBothOfTwoSeeds) {
  EXPECT_TRUE(futile(Differences{-0.04, 0.1}));
  EXPECT_FALSE(futile(Differences{-0.06, 0.1}));
  EXPECT_FALSE(futile(Differences{-0.04, -0.05}));
  EXPECT_FALSE(futile(Differences{0.2}));
  EXPECT_FALSE(futile(Differences{NAN, 0.2}));
}

TEST(SweepVerdicts, SeparationNeedsTheMeanAndEverySign) {
  EXPECT_TRUE(separated(Differences{-0.15, -0.29, -0.01}));
  EXPECT_FALSE(separated(Differences{-0.14, -0.29, -0.01}));
  EXPECT_FALSE(separated(Differences{-0.6, -0.6, 0.01}));
  EXPECT_FALSE(separated(Differences{-0.6, -0.6, NAN}));
  EXPECT_FALSE(separated(Differences{}));
}

RunEnds ends_of(const std::vector<double>& projected, const std::vector<double>& random,
                double pass = 0.3) {
  RunEnds ends;
  for (size_t i = 0; i < projected.size(); ++i) {
    const auto seed = static_cast<int64_t>(i);
    ends[{"vanilla", seed}] = {.strict_hack = 0.8, .gt_pass = 0.3};
    ends[{"projected", seed}] = {.strict_hack = 0.8 + projected[i], .gt_pass = pass};
    if (i < random.size())
      ends[{"random", seed}] = {.strict_hack = 0.8 + random[i], .gt_pass = 0.3};
  }
  return ends;
}

std::string verdict(const RunEnds& ends) {
  const std::vector<int64_t> seeds = {0, 1, 2};
  return arm_verdicts(ends, {"vanilla", "projected", "random"}, seeds).at(0).verdict;
}

TEST(SweepVerdicts, AnEffectThatTheRandomDirectionShowsTooIsNone) {
  EXPECT_EQ(verdict(ends_of({-.4, -.35, -.3}, {0, -.05, -.1})), "supported");
  EXPECT_EQ(verdict(ends_of({-.4, -.35, -.3}, {-.4, -.4, -.3})), "none");
  EXPECT_EQ(verdict(ends_of({-.4, -.35, -.3}, {-.2, -.2, -.2})), "unclear");
  EXPECT_EQ(verdict(ends_of({-.4, -.35, -.3}, {})), "unclear");
}

TEST(SweepVerdicts, SmallNoisyOrBought) {
  EXPECT_EQ(verdict(ends_of({-.1, -.12, -.14}, {0, 0, 0})), "none");
  EXPECT_EQ(verdict(ends_of({-.2, -.2, -.2}, {0, 0, 0})), "unclear");
  EXPECT_EQ(verdict(ends_of({-.8, .3, -.1}, {0, 0, 0})), "none");  // within one standard error
  EXPECT_EQ(verdict(ends_of({-.4, -.35, -.3}, {0, 0, 0}, 0.14)), "bought");
  EXPECT_EQ(verdict(ends_of({-.4, -.35, -.3}, {0, 0, 0}, 0.18)), "unclear");
}

TEST(SweepVerdicts, MatchedDifferencesAreOfRunsThatEnded) {
  auto ends = ends_of({-.4, -.3, -.2}, {});
  ends.erase({"projected", 1});
  const std::vector<int64_t> seeds = {0, 1, 2};
  const auto found = matched_differences(ends, "projected", "vanilla", seeds);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_NEAR(*found[0], -.4, 1e-12);
  EXPECT_FALSE(found[1].has_value());
  EXPECT_NEAR(*found[2], -.2, 1e-12);
  const auto v = arm_verdicts(ends, {"vanilla", "projected"}, seeds).at(0);
  EXPECT_EQ(v.seeds, 2);
  EXPECT_NEAR(v.hack_difference, -.3, 1e-12);
  EXPECT_NEAR(v.hack_sem, .1, 1e-12);
}

TEST(SweepVerdicts, EarlyEndsAreSaidWhetherObeyedOrNot) {
  SweepConfig config;
  config.seeds = {0, 1, 2}, config.arms = {"vanilla", "projected"}, config.cost_ceiling = false;
  auto ends = ends_of({-.04, .1, -.9}, {});
  ends[{"vanilla", 2}].hopeless = true, ends[{"vanilla", 2}].hacked = 0.05;
  const auto found = early_ends(ends, config);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].rule, "futility");
  EXPECT_TRUE(found[0].holds && found[0].configured);
  EXPECT_EQ(found[0].seeds, 2);
  EXPECT_NEAR(found[0].value, 0.03, 1e-12);
  EXPECT_EQ(found[1].rule, "cost_ceiling");
  EXPECT_TRUE(found[1].holds);  // one sign is positive
  EXPECT_FALSE(found[1].configured);
  EXPECT_EQ(found[1].seeds, 3);
  EXPECT_EQ(found[2].rule, "hopeless");
  EXPECT_EQ(found[2].seed, 2);
  EXPECT_EQ(found[2].value, 0.05);
  EXPECT_FALSE(early_ends(ends_of({-.3, -.3, -.3}, {}), config)[1].holds);
}

}  // namespace
}  // namespace preimage::grpo
