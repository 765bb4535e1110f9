// SciPy's and scikit-learn's values where they have them; what the reference gives.
#include "report/buckets.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/json.hpp"
#include "preimage/base/statistics.hpp"
#include "report/discrimination.hpp"

namespace preimage::grpo {
namespace {

const std::string kFixture = PREIMAGE_TEST_DATA "/experiments/grpo/fixtures/measure.json";

SampleRow sample(int64_t step, const std::string& pool, bool hacked, double value) {
  SampleRow row{"vanilla", "frozen", step};
  row.src_pool = pool, row.hacked = hacked;
  row.cos_nll = row.cos_sgn = row.cos_s_contrib = value;
  return row;
}

TEST(Auc, IsScikitLearns) {
  for (const auto& c : base::read_json(kFixture).at("auc")) {
    const auto first = c.at("first").get<std::vector<double>>();
    const auto second = c.at("second").get<std::vector<double>>();
    EXPECT_NEAR(area_under_roc(first, second), c.at("auc").get<double>(), 1e-12);
  }
  EXPECT_TRUE(std::isnan(area_under_roc(std::vector<double>{}, std::vector<double>{1})));
}

TEST(Auc, BootstrapResamplesWholeSteps) {
  std::vector<SteppedValue> values;
  for (int64_t s = 0; s < 20; ++s) {
    values.push_back({1.0 + 0.01 * static_cast<double>(s), true, s});
    values.push_back({0.0, false, s});
    values.push_back({std::nan(""), false, s});
  }
  const auto apart = bootstrap_auc(values, {1, "auc", "test"}, 200);
  EXPECT_EQ(apart.estimate, 1);
  EXPECT_EQ(apart.low, 1);
  // Half of the steps the other way round: the interval holds 1/2.
  for (auto& v : values)
    if (v.step % 2 == 0) v.first = !v.first;
  std::erase_if(values, [](const auto& v) { return std::isnan(v.value); });
  const auto mixed = bootstrap_auc(values, {1, "auc", "test"}, 500);
  EXPECT_LT(mixed.low, 0.4);
  EXPECT_GT(mixed.high, 0.6);
}

// a = (.8, .7, .75, .9), b = (.4, .35, .5, .3, .45).
TEST(Tests, OfTheReference) {
  const std::vector<double> a = {.8, .7, .75, .9}, b = {.4, .35, .5, .3, .45};
  EXPECT_NEAR(base::student(a, b).t, 7.05901052766, 1e-10);
  EXPECT_NEAR(base::student(a, b).p, 2.0078e-4, 1e-8);
  EXPECT_NEAR(base::welch(a, b).t, 6.99030806043, 1e-10);
  EXPECT_NEAR(base::welch(a, b).p, 3.4345e-4, 1e-8);
  std::vector<SampleRow> rows;
  for (size_t i = 0; i < a.size(); ++i) rows.push_back(sample(0, "teacher_pool", true, a[i]));
  for (size_t i = 0; i < b.size(); ++i) rows.push_back(sample(0, "base_pool", false, b[i]));
  const auto found = compare_samples(rows, {1, 200})[0];
  EXPECT_EQ(found.comparison, "teacher, base");
  EXPECT_EQ(found.measure, "cos_nll");
  EXPECT_NEAR(found.t, 6.99030806043, 1e-10);
  EXPECT_NEAR(found.t_student, 7.05901052766, 1e-10);
  EXPECT_NEAR(found.p_permutation, 2.0 / 126, 1e-12);  // the most extreme of C(9, 4), two-sided
  EXPECT_EQ(found.auc, 1);
}

// Labels change places within a step alone: a difference between steps is none.
TEST(Tests, PermutationsStayWithinTheirStep) {
  std::vector<SampleRow> rows;
  for (int64_t s = 0; s < 2; ++s)
    for (int64_t i = 0; i < 4; ++i)
      rows.push_back(sample(s, i == 0 ? "teacher_pool" : "base_pool", i == 0,
                            s == 0 ? 1.0 : 0.0));  // values differ between steps alone
  const auto found = compare_samples(rows, {1, 500})[0];
  EXPECT_EQ(found.p_permutation, 1);
}

TEST(Buckets, EmptyOnesAreThere) {
  const auto rows =
      bucket_table({sample(0, "teacher_pool", true, .5), sample(0, "teacher_pool", true, .7),
                    sample(0, "base_pool", false, std::nan(""))});
  EXPECT_EQ(rows.size(), 2u * 4 * 5);  // pools, hacked x gt_pass, measures
  int64_t filled = 0;
  for (const auto& row : rows) {
    if (row.measure != "cos_nll") continue;
    if (row.n == 0) {
      EXPECT_TRUE(std::isnan(row.mean));
      continue;
    }
    ++filled;
    EXPECT_EQ(row.src_pool, "teacher_pool");
    EXPECT_TRUE(row.hacked);
    EXPECT_FALSE(row.gt_pass);
    EXPECT_EQ(row.n, 2);
    EXPECT_NEAR(row.mean, .6, 1e-12);
    EXPECT_NEAR(row.sd, .1414213562, 1e-9);
    EXPECT_NEAR(row.median, .6, 1e-12);
    EXPECT_NEAR(row.low, .52, 1e-12);
    EXPECT_NEAR(row.high, .68, 1e-12);
  }
  EXPECT_EQ(filled, 1);  // a NaN (no advantage) is no value
}

}  // namespace
}  // namespace preimage::grpo
