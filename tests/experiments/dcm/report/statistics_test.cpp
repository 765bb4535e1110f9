#include "report/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "preimage/base/error.hpp"

namespace preimage::dcm {
namespace {

// numpy.percentile([1, 2, 4, 8], ...)
TEST(Statistics, PercentileInterpolatesAsNumpyDoes) {
  const std::vector<double> sorted = {1, 2, 4, 8};
  EXPECT_DOUBLE_EQ(percentile(sorted, 0), 1);
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.1), 1.3);
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.5), 3);
  EXPECT_DOUBLE_EQ(percentile(sorted, 0.975), 7.7);
  EXPECT_DOUBLE_EQ(percentile(sorted, 1), 8);
}

Clustered twelve_pairs_of_five_articles() {
  return {{1, 1, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0},
          {"a", "a", "a", "b", "b", "b", "b", "c", "c", "d", "d", "e"}};
}

// Percentiles of the exact distribution over all 5^5 resamples, by enumeration in numpy: 0.1 and
// 10/11 at 95 %, 0.3 and 0.7 at 70 %.
TEST(Statistics, ClusterBootstrapAgreesWithFullEnumeration) {
  const auto wide = cluster_bootstrap(twelve_pairs_of_five_articles(), {.draws = 20000, .seed = 3});
  EXPECT_DOUBLE_EQ(wide.estimate, 0.5);
  EXPECT_NEAR(wide.low, 0.1, 1e-9);
  EXPECT_NEAR(wide.high, 10.0 / 11, 1e-9);
  const auto narrow = cluster_bootstrap(twelve_pairs_of_five_articles(),
                                        {.draws = 20000, .confidence = 0.7, .seed = 3});
  EXPECT_NEAR(narrow.low, 0.3, 1e-9);
  EXPECT_NEAR(narrow.high, 0.7, 1e-9);
}

TEST(Statistics, ClusterBootstrapDependsOnItsSeedAndNotOnTheOrder) {
  // Means of whole articles that differ, so that other draws show.
  Clustered data;
  for (int i = 0; i < 60; ++i) {
    data.values.push_back(std::sin(i) + i % 7);
    data.clusters.push_back("article " + std::to_string(i % 7 + 7 * (i % 2)));
  }
  const auto first = cluster_bootstrap(data, {.seed = 1});
  EXPECT_EQ(first.low, cluster_bootstrap(data, {.seed = 1}).low);
  EXPECT_NE(first.low, cluster_bootstrap(data, {.seed = 2}).low);
  Clustered reversed{{data.values.rbegin(), data.values.rend()},
                     {data.clusters.rbegin(), data.clusters.rend()}};
  EXPECT_NEAR(cluster_bootstrap(reversed, {.seed = 1}).low, first.low, 1e-12);
}

TEST(Statistics, ClusterBootstrapOfOneArticleHasNoWidth) {
  const auto one = cluster_bootstrap({{1, 0, 1, 1}, {"x", "x", "x", "x"}});
  EXPECT_EQ(one.low, 0.75);
  EXPECT_EQ(one.high, 0.75);
  EXPECT_TRUE(std::isnan(cluster_bootstrap({}).low));
}

}  // namespace
}  // namespace preimage::dcm
