#include "report/gates.hpp"

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
                     .conv = conv,
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
