// Every rule on both sides of its threshold, and which one has the last word.
#include "report/decisions.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace preimage::grpo {
namespace {

// Twenty steps in which everything is as hoped.
ProbeEvidence good() {
  ProbeEvidence e;
  e.reward_range.assign(20, 3.0);
  e.base_reward_max.assign(20, 0.5);
  e.base_reward_max[3] = 3.5;
  e.cos_in.assign(20, 0.3);
  e.cos_sgn.assign(20, 0.25);
  e.null_mean = 0.04, e.null_sd = 0.01;
  e.null_step_sd.assign(20, 0.02);
  e.signed_null_sd = 0.01;
  e.projected_in.assign(20, 0.3);
  e.projected_out.assign(20, 0.0);
  e.projected_fired.assign(20, 0.9);
  e.projected_leak.assign(20, 0.05);
  e.auc_low = 0.7, e.auc_high = 0.9;
  e.both_buckets = true, e.hacked_effect = 0.1;
  return e;
}

bool holds(const ProbeEvidence& e, const std::string& id) {
  for (const auto& d : decide(e))
    if (d.id == id) return d.holds;
  ADD_FAILURE() << id;
  return false;
}
std::string verdict(const ProbeEvidence& e) {
  return decide(e).back().verdict;
}

TEST(Decisions, BinomialTailOfTheReference) {
  EXPECT_NEAR(binomial_tail(16, 20), .00590896606445, 1e-13);
  EXPECT_NEAR(binomial_tail(0, 20), 1, 1e-12);
}

TEST(Decisions, P1AsksForRewardVarianceInEveryGroup) {
  auto e = good();
  EXPECT_TRUE(holds(e, "P1"));
  e.reward_range[7] = 1.0;
  EXPECT_FALSE(holds(e, "P1"));
  EXPECT_EQ(decide(e)[0].verdict, "warn: little reward variance");
  EXPECT_EQ(verdict(e), verdict(good()));
  e.reward_range[7] = 0.1;
  EXPECT_EQ(decide(e)[0].verdict, "warn: little reward variance");
  e.reward_range[7] = 0.09;
  EXPECT_EQ(verdict(e), "useless: a group without reward variance");
}

TEST(Decisions, P2aCountsPositiveSteps) {
  auto e = good();
  for (size_t k = 0; k < 4; ++k) e.cos_sgn[k] = -0.01;
  EXPECT_TRUE(holds(e, "P2a"));  // 16
  e.cos_sgn[4] = 0;
  EXPECT_FALSE(holds(e, "P2a"));
}

TEST(Decisions, P2bIsTwoDeviationsOfTheNull) {
  auto e = good();
  e.cos_in.assign(20, 0.0599);
  EXPECT_TRUE(holds(e, "P2b"));
  EXPECT_FALSE(holds(e, "P2d"));
  e.cos_in.assign(20, 0.0201);
  EXPECT_TRUE(holds(e, "P2b"));
  e.cos_in.assign(20, 0.0601);
  EXPECT_FALSE(holds(e, "P2b"));
  EXPECT_TRUE(holds(e, "P2d"));
}

TEST(Decisions, P2cCountsStrongSteps) {
  auto e = good();
  for (size_t k = 0; k < 4; ++k) e.cos_in[k] = 0.2;
  EXPECT_TRUE(holds(e, "P2c"));
  e.cos_in[4] = 0.2;
  EXPECT_FALSE(holds(e, "P2c"));
  EXPECT_TRUE(holds(e, "P2d"));
}

TEST(Decisions, P2eIsTheWrongSign) {
  auto e = good();
  e.cos_sgn.assign(20, -0.019);
  EXPECT_FALSE(holds(e, "P2e"));
  e.cos_sgn.assign(20, -0.021);
  EXPECT_TRUE(holds(e, "P2e"));
  EXPECT_EQ(verdict(e), "the wrong sign, or the base pool dominates");
}

TEST(Decisions, P3AsksForLowerCosinesAndFiredModules) {
  auto e = good();
  for (size_t k = 0; k < 4; ++k) e.projected_out[k] = e.projected_in[k] - 1e-7;
  EXPECT_TRUE(holds(e, "P3"));
  e.projected_out[4] = 0.3;
  EXPECT_FALSE(holds(e, "P3"));
  e = good();
  e.projected_fired.assign(20, 0.5);
  EXPECT_TRUE(holds(e, "P3"));
  e.projected_fired.assign(20, 0.49);
  EXPECT_FALSE(holds(e, "P3"));
}

TEST(Decisions, P4LooksAtWhatIsLeftAndAtTheLeak) {
  auto e = good();
  e.projected_out.assign(20, 0.049);
  EXPECT_TRUE(holds(e, "P4"));
  e.projected_out.assign(20, 0.05);
  EXPECT_FALSE(holds(e, "P4"));
  e = good();
  e.projected_leak.assign(20, 0.0599);
  EXPECT_TRUE(holds(e, "P4"));
  e.projected_leak.assign(20, 0.0601);
  EXPECT_FALSE(holds(e, "P4"));
  EXPECT_EQ(verdict(e), "strong: the sweep is justified; the projection is not effective");
  e.projected_leak.assign(20, std::nan(""));  // nothing was updated
  EXPECT_TRUE(holds(e, "P4"));
}

TEST(Decisions, P4xIsAFault) {
  auto e = good();
  EXPECT_FALSE(holds(e, "P4x"));
  e.over_projected = true;
  EXPECT_TRUE(holds(e, "P4x"));
  EXPECT_EQ(verdict(e), "a fault: overshoot above 1, or directions not orthonormal");
}

TEST(Decisions, P5NeedsTheIntervalBesideHalfAndTheEffectWithin) {
  auto e = good();
  EXPECT_TRUE(holds(e, "P5"));
  e.auc_low = 0.5;
  EXPECT_FALSE(holds(e, "P5"));
  e.auc_low = 0.51, e.hacked_effect = 0;
  EXPECT_FALSE(holds(e, "P5"));
  e.both_buckets = false;
  EXPECT_TRUE(holds(e, "P5"));
  e.auc_low = 0.1, e.auc_high = 0.49;
  EXPECT_TRUE(holds(e, "P5"));
}

TEST(Decisions, Skip3NeedsEveryStepAtItsNullAndNoDiscrimination) {
  auto e = good();
  e.cos_in.assign(20, 0.0799);
  EXPECT_FALSE(holds(e, "SKIP3"));  // P5 holds
  e.auc_low = 0.45;
  EXPECT_TRUE(holds(e, "SKIP3"));
  e.cos_in[11] = 0.0801;
  EXPECT_FALSE(holds(e, "SKIP3"));
}

// P2b says run the sweep, SKIP3 says do not: SKIP3 has the last word.
TEST(Decisions, Skip3ComesBeforeP2b) {
  auto e = good();
  e.cos_in.assign(20, 0.05);
  EXPECT_TRUE(holds(e, "P2b"));
  EXPECT_TRUE(verdict(e).starts_with("run the sweep, expect a smaller effect"));
  e.auc_low = 0.45;
  EXPECT_TRUE(holds(e, "P2b"));
  EXPECT_TRUE(verdict(e).starts_with("skip the sweep"));
  EXPECT_FALSE(decide(e).back().holds);
}

TEST(Decisions, Var1LooksForOneRewardedBaseSample) {
  auto e = good();
  EXPECT_FALSE(holds(e, "VAR1"));
  e.base_reward_max[3] = 0.5;
  EXPECT_TRUE(holds(e, "VAR1"));
}

TEST(Decisions, VerdictOfAGoodProbe) {
  EXPECT_EQ(verdict(good()), "strong: the sweep is justified; the projection is effective");
  EXPECT_TRUE(decide(good()).back().holds);
  auto e = good();
  e.cos_in.assign(20, 0.15);
  EXPECT_EQ(verdict(e), "weak alignment, of the expected sign; the projection is effective");
}

}  // namespace
}  // namespace preimage::grpo
