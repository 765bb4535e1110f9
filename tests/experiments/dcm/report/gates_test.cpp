#include "report/gates.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace preimage::dcm {
namespace {

// `converged` of `count` pairs converge, the last ones first, two pairs to an article.
std::vector<JointOutcome> joint(int count, int converged) {
  std::vector<JointOutcome> pairs;
  for (int i = 0; i < count; ++i) {
    const bool conv = i >= count - converged;
    pairs.push_back({.article = "article " + std::to_string(i / 2),
                     .loss_q = conv ? 0.5 : 6.0,
                     .loss_a = conv ? 0.5 : 6.0,
                     .random_q = 10,
                     .random_a = 10,
                     .full_q = 4,
                     .full_a = 4,
                     .single_q = 9,
                     .single_a = 9,
                     .conv = conv,
                     .conflict_known = true,
                     .passed = conv});
  }
  return pairs;
}

std::vector<SingleOutcome> single(int count, int conv_q, int conv_a) {
  std::vector<SingleOutcome> pairs;
  for (int i = 0; i < count; ++i) {
    pairs.push_back({.article = std::to_string(i), .conv_q = i < conv_q, .conv_a = i < conv_a});
  }
  return pairs;
}

const GateOptions plan;

TEST(Gates, G1AveragesQuestionsAndAnswersAndReportsBoth) {
  const auto at = gate_single(single(10, 5, 9), plan, 1);
  EXPECT_EQ(at.verdict, Verdict::pass);  // 14 of 20 is not below 0.70
  EXPECT_DOUBLE_EQ(at.value.estimate, 0.7);
  EXPECT_EQ(at.used, 10);
  EXPECT_EQ(at.detail, "questions 5 of 10, answers 9 of 10");
  EXPECT_TRUE(at.action.empty());
  const auto below = gate_single(single(10, 5, 8), plan, 1);
  EXPECT_EQ(below.verdict, Verdict::fail);
  EXPECT_NE(below.action.find("stop"), std::string::npos);
  EXPECT_EQ(gate_single({}, plan, 1).verdict, Verdict::not_reached);
}

TEST(Gates, G2LooksAtTheFirstFiftyOnly) {
  // All of the 60 that converge come after 40 that do not: 10 of the first 50.
  const auto pairs = joint(100, 60);
  const auto gate = gate_early(pairs, plan, 1);
  EXPECT_EQ(gate.used, 50);
  EXPECT_DOUBLE_EQ(gate.value.estimate, 0.2);
  EXPECT_EQ(gate.verdict, Verdict::pass);
  EXPECT_EQ(gate_early(joint(100, 59), plan, 1).verdict, Verdict::fail);
}

TEST(Gates, FewerPairsThanAskedDecideNothing) {
  const auto gate = gate_early(joint(49, 0), plan, 1);
  EXPECT_EQ(gate.verdict, Verdict::not_reached);
  EXPECT_EQ(gate.used, 49);
  EXPECT_EQ(gate.asked, 50);
  EXPECT_TRUE(gate.action.empty());
  EXPECT_EQ(gate_viable(joint(99, 0), plan, 1).verdict, Verdict::not_reached);
  GateOptions small = plan;
  small.g2_pairs = 16;
  EXPECT_EQ(gate_early(joint(16, 0), small, 1).verdict, Verdict::fail);
}

TEST(Gates, G3AsksForTheParaphraseObjective) {
  const auto gate = gate_viable(joint(100, 29), plan, 1);
  EXPECT_EQ(gate.verdict, Verdict::fail);
  EXPECT_NE(gate.action.find("paraphrase"), std::string::npos);
  EXPECT_EQ(gate_viable(joint(100, 30), plan, 1).verdict, Verdict::pass);
}

TEST(Gates, G4CountsPairsThatAntiCorrelate) {
  auto pairs = joint(8, 8);
  pairs[0].anti_correlate = pairs[1].anti_correlate = true;
  EXPECT_EQ(gate_conflict(pairs, plan, 1).verdict, Verdict::pass);  // a quarter is not more
  pairs[2].anti_correlate = true;
  const auto gate = gate_conflict(pairs, plan, 1);
  EXPECT_EQ(gate.verdict, Verdict::fail);
  EXPECT_EQ(gate.action, "use the paraphrase objective");
  EXPECT_EQ(gate.finding, "Q and A losses anti-correlate for 0.375 of the pairs, more than 0.25");
}

// A pair whose run was too short for r_d speaks neither for nor against.
TEST(Gates, G4LeavesOutPairsWithoutACorrelation) {
  auto pairs = joint(8, 8);
  for (size_t i = 2; i < 8; ++i) pairs[i].conflict_known = false;
  pairs[0].anti_correlate = true;
  const auto gate = gate_conflict(pairs, plan, 1);
  EXPECT_EQ(gate.used, 2);
  EXPECT_DOUBLE_EQ(gate.value.estimate, 0.5);
  EXPECT_EQ(gate.verdict, Verdict::fail);
  EXPECT_EQ(gate.detail, "r_d is known for 2 of 8 pairs, the others took too few steps");
  for (auto& pair : pairs) pair.conflict_known = false;
  EXPECT_EQ(gate_conflict(pairs, plan, 1).verdict, Verdict::not_reached);
}

// The baselines meet the rule of conv for `met` of the pairs, from the first.
std::vector<JointOutcome> with_baselines(std::vector<JointOutcome> pairs, int met) {
  for (int i = 0; i < met; ++i) {
    auto& pair = pairs[static_cast<size_t>(i)];
    pair.conv_by_baseline = true;
    pair.single_q = pair.single_a = 1;
  }
  return pairs;
}

TEST(Gates, WhatABaselinePassesByItselfIsNoEvidence) {
  // All 100 converge. Of the first 50 baselines meet the rule for 9, then 10: G2 asks for 0.2.
  const auto g2 = [](int met) { return gate_early(with_baselines(joint(100, 100), met), plan, 1); };
  EXPECT_EQ(g2(9).verdict, Verdict::pass);
  EXPECT_EQ(g2(10).verdict, Verdict::no_evidence);
  EXPECT_EQ(g2(10).finding,
            "conv 1 >= 0.2 among the first 50 joint pairs; but a baseline alone meets the rule of "
            "conv at a rate of 0.2");
  EXPECT_THAT(g2(10).action, testing::HasSubstr("tight and exact"));
  EXPECT_EQ(g2(10).value.estimate, 1) << "the rate itself stays";
  const auto g3 = [](int met) {
    return gate_viable(with_baselines(joint(100, 100), met), plan, 1);
  };
  EXPECT_EQ(g3(29).verdict, Verdict::pass);
  EXPECT_EQ(g3(30).verdict, Verdict::no_evidence);
  const auto g6 = [](int met) {
    return gate_success(with_baselines(joint(100, 100), met), plan, 1);
  };
  EXPECT_EQ(g6(50).verdict, Verdict::pass);
  EXPECT_EQ(g6(51).verdict, Verdict::no_evidence);
  auto targets = single(10, 10, 10);
  for (size_t i = 0; i < 7; ++i) targets[i].baseline_q = true;
  for (size_t i = 0; i < 6; ++i) targets[i].baseline_a = true;
  EXPECT_EQ(gate_single(targets, plan, 1).verdict, Verdict::pass);  // 13 of 20 is below 0.70
  targets[9].baseline_a = true;
  EXPECT_EQ(gate_single(targets, plan, 1).verdict, Verdict::no_evidence);
}

// What fails fails, whatever the baselines do: no_evidence takes the place of a pass alone.
TEST(Gates, AFailureStaysAFailure) {
  EXPECT_EQ(gate_early(with_baselines(joint(100, 0), 100), plan, 1).verdict, Verdict::fail);
  EXPECT_EQ(gate_success(with_baselines(joint(100, 40), 100), plan, 1).verdict,
            Verdict::inconclusive);
}

TEST(Gates, TheTableAsksAllItsMeasuresOfTheBaseline) {
  // S is 1 where R is 10 and F is 4: L/R 0.1, L/F 0.25.
  EXPECT_EQ(gate_table(with_baselines(joint(20, 20), 20), 1)[2].verdict, Verdict::no_evidence);
  auto pairs = with_baselines(joint(20, 20), 20);
  for (auto& pair : pairs) pair.single_q = pair.single_a = 3.5;  // L/R 0.35: minimum alone
  EXPECT_EQ(gate_table(pairs, 1)[0].verdict, Verdict::no_evidence);
  EXPECT_EQ(gate_table(pairs, 1)[1].verdict, Verdict::pass);
  EXPECT_EQ(gate_table(joint(20, 20), 1)[0].verdict, Verdict::pass);
}

// The finding is what holds under each verdict, never its negation.
TEST(Gates, FindingsSayWhatHolds) {
  EXPECT_EQ(gate_early(joint(100, 100), plan, 1).finding,
            "conv 1 >= 0.2 among the first 50 joint pairs");
  EXPECT_EQ(gate_early(joint(100, 50), plan, 1).finding,
            "conv 0 < 0.2 among the first 50 joint pairs");
  EXPECT_EQ(gate_early(joint(49, 0), plan, 1).finding, "49 of the 50 joint pairs it asks for");
  EXPECT_EQ(gate_success(joint(100, 29), plan, 1).finding, "conv 0.29 < 0.3");
  EXPECT_EQ(gate_success(joint(100, 40), plan, 1).finding, "conv 0.4, from 0.3 to 0.5");
  EXPECT_EQ(gate_success(joint(100, 60), plan, 1).finding, "conv 0.6 > 0.5");
  EXPECT_EQ(gate_zero_loss(joint(4, 4), plan, 1).finding,
            "L_Q + L_A < 1e-07 nats for 0 of the pairs, not more than 0.05");
  EXPECT_EQ(gate_spot(joint(3, 3), plan, 1).finding, "Pass 1 > 0.8 among the converged pairs");
  EXPECT_EQ(gate_single(single(3, 1, 1), plan, 1).finding,
            "single-target conv 0.3333 < 0.7, questions and answers averaged");
  EXPECT_EQ(gate_table(joint(20, 16), 1)[2].finding,
            "conv 0.8 <= 0.9, L/R 0.16 >= 0.15, L/F of Q 0.4 < 1.2, of A 0.4 < 1.2");
}

TEST(Gates, G5CountsLossesOfZero) {
  auto pairs = joint(20, 20);
  pairs[3].loss_q = pairs[3].loss_a = 4e-8;
  EXPECT_EQ(gate_zero_loss(pairs, plan, 1).verdict, Verdict::pass);  // 1 of 20 is not more than 5 %
  pairs[4].loss_q = pairs[4].loss_a = 0;
  EXPECT_EQ(gate_zero_loss(pairs, plan, 1).verdict, Verdict::fail);
  pairs[4].loss_a = 1e-7;
  EXPECT_EQ(gate_zero_loss(pairs, plan, 1).verdict, Verdict::pass);
}

TEST(Gates, G6LeavesTheMiddleOpen) {
  EXPECT_EQ(gate_success(joint(100, 51), plan, 1).verdict, Verdict::pass);
  EXPECT_EQ(gate_success(joint(100, 50), plan, 1).verdict, Verdict::inconclusive);
  EXPECT_EQ(gate_success(joint(100, 30), plan, 1).verdict, Verdict::inconclusive);
  EXPECT_EQ(gate_success(joint(100, 29), plan, 1).verdict, Verdict::fail);
  EXPECT_EQ(gate_success({}, plan, 1).verdict, Verdict::not_reached);
}

TEST(Gates, TableMeasuresAreMeansOverPairs) {
  const auto measures = table_measures(joint(4, 3));
  EXPECT_DOUBLE_EQ(measures.conv, 0.75);
  EXPECT_DOUBLE_EQ(measures.loss_ratio, (3 * 0.05 + 0.6) / 4);
  EXPECT_DOUBLE_EQ(measures.balance_q, (3 * 0.5 + 6) / 16);
  EXPECT_DOUBLE_EQ(measures.balance_a, measures.balance_q);
  EXPECT_TRUE(std::isnan(table_measures({}).conv));
}

TEST(Gates, TableNeedsAllMeasures) {
  auto verdicts = [](const std::vector<JointOutcome>& pairs) {
    std::vector<Verdict> out;
    for (const auto& gate : gate_table(pairs, 1)) out.push_back(gate.verdict);
    return out;
  };
  using enum Verdict;
  EXPECT_EQ(verdicts(joint(20, 20)), (std::vector{pass, pass, pass}));
  EXPECT_EQ(verdicts(joint(20, 16)), (std::vector{pass, pass, fail}));  // conv 0.8
  EXPECT_EQ(verdicts(joint(20, 8)), (std::vector{fail, fail, fail}));   // conv 0.4 is not above
  auto unbalanced = joint(20, 20);
  for (auto& pair : unbalanced) pair.full_a = 0.3;  // L_A = 1.67 F_A
  EXPECT_EQ(verdicts(unbalanced), (std::vector{pass, fail, fail}));
  auto high = joint(20, 20);
  for (auto& pair : high) pair.loss_q = 3.5;  // L/R = 0.2
  EXPECT_EQ(verdicts(high), (std::vector{pass, pass, fail}));
}

TEST(Gates, SpotJudgesConvergedPairsOnly) {
  auto pairs = joint(20, 10);
  pairs[19].passed = false;
  pairs[18].passed = false;
  const auto gate = gate_spot(pairs, plan, 1);
  EXPECT_EQ(gate.used, 10);
  EXPECT_EQ(gate.verdict, Verdict::fail);  // 0.8 is not above 0.8
  EXPECT_NE(gate.action.find("degenerate"), std::string::npos);
  pairs[18].passed = true;
  EXPECT_EQ(gate_spot(pairs, plan, 1).verdict, Verdict::pass);
  EXPECT_EQ(gate_spot(joint(20, 0), plan, 1).verdict, Verdict::not_reached);
}

TEST(Gates, SpotCasesAreTheFirstThatConverged) {
  EXPECT_EQ(spot_cases(joint(10, 4), 3), (std::vector<int64_t>{6, 7, 8}));
  EXPECT_EQ(spot_cases(joint(10, 2), 5), (std::vector<int64_t>{8, 9}));
}

TEST(Gates, AllJointGatesInOrderWithIntervals) {
  const auto gates = joint_gates(joint(16, 16), plan, 7);
  std::vector<std::string> names;
  for (const auto& gate : gates) names.push_back(gate.gate);
  EXPECT_EQ(names, (std::vector<std::string>{"G2", "G3", "G4", "G5", "G6", "table.minimum",
                                             "table.good", "table.excellent", "spot"}));
  EXPECT_NEAR(gates[4].value.low, 0.8063923194655637, 1e-12);  // 16 of 16, scipy
  EXPECT_EQ(gates[4].by_article.low, 1);
  EXPECT_EQ(name(gates[0].verdict), "not_reached");
}

TEST(Gates, OptionsRefuseCrossedThresholds) {
  GateOptions options;
  EXPECT_TRUE(options.check("").empty());
  options.g3_conv = 0.6;
  options.g2_pairs = 200;
  EXPECT_EQ(options.check("dcm.gates.").size(), 2u);
}

}  // namespace
}  // namespace preimage::dcm
