#include "report/convergence.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace preimage::dcm {
namespace {

constexpr double random_q = 11.272410202, random_a = 12.3968385696;

TEST(Convergence, SumReadingComparesSumsWithSums) {
  // 0.3 (R_Q + R_A) = 7.10077463150. Half of that, 3.55038731575, would be the mean's threshold.
  TargetOutcome question{.loss = 7.1007746, .random = random_q};
  TargetOutcome answer{.loss = 0, .random = random_a};
  EXPECT_TRUE(judge_convergence(question, answer).conv_sum);
  question.loss = 7.1007747;
  EXPECT_FALSE(judge_convergence(question, answer).conv_sum);
  EXPECT_NEAR(0.3 * (random_q + random_a), 7.10077463150, 5e-11);
}

TEST(Convergence, StrictReadingNeedsBothTargets) {
  const TargetOutcome question{.loss = 3.5, .random = random_q};  // 0.3 R_Q = 3.3817
  const TargetOutcome answer{.loss = 3.5, .random = random_a};    // 0.3 R_A = 3.7191
  const auto out = judge_convergence(question, answer);
  EXPECT_FALSE(out.conv_q);
  EXPECT_TRUE(out.conv_a);
  EXPECT_FALSE(out.conv);
  EXPECT_TRUE(out.conv_sum);
}

TEST(Convergence, EitherClauseIsEnoughAndTheBoundIsStrict) {
  const ConvergenceOptions options;
  EXPECT_TRUE(meets_rule(5, 10, 2.6, options));
  EXPECT_FALSE(meets_rule(5, 10, 2.5, options));
  EXPECT_TRUE(meets_rule(2.9, 10, 0, options));
  const double none = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(meets_rule(none, 10, 10, options));
  EXPECT_TRUE(meets_rule(1, 10, none, options));
  EXPECT_FALSE(meets_rule(1, none, none, options));
}

TEST(Convergence, TightIsTheWorstTokenOfBothBelowLn2) {
  TargetOutcome question{.max_nll = 0.6931, .random = 10};
  TargetOutcome answer{.max_nll = 0.1, .random = 10};
  EXPECT_TRUE(judge_convergence(question, answer).tight);
  question.max_nll = 0.6932;
  EXPECT_FALSE(judge_convergence(question, answer).tight);
}

// The lemma with figures: a mean of 7.615e-5 over 13 tokens bounds each token's p from below.
TEST(Convergence, LemmaBoundsEachProbability) {
  const double least = std::exp(-13 * 7.615e-5);
  EXPECT_GE(least, 0.99901);
  EXPECT_GT(least, std::exp(-ln2));
  EXPECT_NEAR(std::exp(-ln2), 0.5, 1e-16);
}

TEST(Convergence, ExactNeedsBoth) {
  const TargetOutcome yes{.exact = true}, no{.exact = false};
  EXPECT_TRUE(judge_convergence(yes, yes).exact);
  EXPECT_FALSE(judge_convergence(yes, no).exact);
}

TEST(Convergence, BaselinesAloneMeetTheRuleWhereFullIsLarge) {
  TargetOutcome question{.loss = 9, .random = 11, .full = 6, .single = 8};
  TargetOutcome answer{.loss = 9, .random = 12, .full = 7, .single = 9};
  EXPECT_TRUE(judge_convergence(question, answer).conv_by_baseline);
  answer.full = 2;
  EXPECT_FALSE(judge_convergence(question, answer).conv_by_baseline);
}

}  // namespace
}  // namespace preimage::dcm
