// Published formulas by hand or by scikit-learn; see each test.
#include "report/metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/error.hpp"

namespace preimage::verifier {
namespace {

// Energies with ties, three problems of eight; sklearn.metrics.roc_auc_score(y, -E).
std::vector<Ranked> three_problems() {
  return {{{0.5, 0.7, 0.6, 0.5, 0.4, 0.6, 0.4, 0.9}, {1, 0, 1, 0, 0, 0, 1, 0}},
          {{1.0, 0.4, 0.8, 0.5, 0.6, 0.9, 0.1, 0.1}, {0, 0, 1, 0, 0, 0, 0, 0}},
          {{0.0, 0.8, 0.8, 0.9, 1.0, 0.8, 0.5, 0.8}, {1, 0, 0, 1, 0, 0, 1, 1}}};
}

TEST(Metrics, AreaUnderTheCurveAgreesWithScikitLearn) {
  const auto problems = three_problems();
  EXPECT_NEAR(pairwise_accuracy(problems[0]), 0.7, 1e-15);
  EXPECT_NEAR(pairwise_accuracy(problems[1]), 0.2857142857142857, 1e-15);
  EXPECT_NEAR(pairwise_accuracy(problems[2]), 0.71875, 1e-15);
  EXPECT_NEAR(mean_pairwise_accuracy(problems), (0.7 + 0.2857142857142857 + 0.71875) / 3, 1e-15);
  EXPECT_NEAR(global_auroc(problems), 0.578125, 1e-15);
}

TEST(Metrics, AProblemWithoutAPairCountsNowhere) {
  EXPECT_TRUE(std::isnan(pairwise_accuracy({{0.1, 0.2}, {true, true}})));
  const std::vector<Ranked> problems = {{{0.1, 0.2}, {true, true}}, {{0.1, 0.2}, {true, false}}};
  EXPECT_DOUBLE_EQ(mean_pairwise_accuracy(problems), 1);
}

// numpy, seven bins.
TEST(Metrics, CalibrationError) {
  const auto problems = three_problems();
  const auto bins = reliability(problems, 7);
  int64_t count = 0;
  for (const auto& bin : bins) count += bin.count;
  EXPECT_EQ(count, 24);
  EXPECT_NEAR(expected_calibration_error(bins), 0.2, 1e-12);
}

// numpy.corrcoef of the values less their problem's mean.
TEST(Metrics, CorrelationWithLengthWithinProblems) {
  const auto problems = three_problems();
  const std::vector<std::vector<double>> lengths = {{15, 36, 13, 43, 21, 12, 5, 7},
                                                    {5, 48, 4, 13, 37, 41, 15, 16},
                                                    {21, 36, 24, 16, 14, 22, 49, 6}};
  EXPECT_NEAR(centred_correlation(problems, lengths), -0.13652844042486573, 1e-12);
}

}  // namespace
}  // namespace preimage::verifier
