#include "report/clusters.hpp"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "preimage/base/json.hpp"

namespace preimage::ips {
namespace {

Points line(const std::vector<double>& values) {
  Points points;
  for (const double value : values) points.push_back({value});
  return points;
}

// Value 7 of the reference.
TEST(Silhouettes, OfTheReference) {
  const auto s = silhouettes(euclidean_distances(line({0, 1, 2, 10, 11, 13})), {0, 0, 0, 1, 1, 1});
  const std::vector<double> expected = {0.867647058824, 0.903225806452, 0.839285714286,
                                        0.777777777778, 0.85,           0.791666666667};
  for (size_t i = 0; i < s.size(); ++i) EXPECT_NEAR(s[i], expected[i], 1e-12) << i;
  const auto single = silhouettes(euclidean_distances(line({0, 1, 10})), {0, 0, 1});
  EXPECT_NEAR(single[0], 0.9, 1e-12);
  EXPECT_NEAR(single[1], 0.888888888889, 1e-12);
  EXPECT_EQ(single[2], 0);
}

TEST(Silhouettes, AndKMeansAsInScikitLearn) {
  const auto cases =
      base::read_json(std::string(PREIMAGE_TEST_DATA) + "/experiments/ips/fixtures/peers.json");
  for (const auto& one : cases.at("clusters")) {
    const auto points = one.at("points").get<Points>();
    const auto s =
        silhouettes(euclidean_distances(points), one.at("labels").get<std::vector<int64_t>>());
    for (size_t i = 0; i < s.size(); ++i)
      EXPECT_NEAR(s[i], one.at("silhouettes")[i].get<double>(), 1e-12);
    for (size_t k = 0; k < one.at("inertia").size(); ++k) {
      const auto found = k_means(points, static_cast<int64_t>(k) + 2, 200,
                                 base::RandomStream(0, "test", "clusters"));
      EXPECT_LE(found.inertia, one.at("inertia")[k].get<double>() * (1 + 1e-9)) << k + 2;
    }
  }
}

TEST(BestClustering, FindsTheGroupsThatAreThere) {
  const base::RandomStream random(1, "test", "groups");
  const auto best = best_clustering(line({0, 0.1, 0.2, 5, 5.1, 9, 9.1}), 5, 20, random);
  EXPECT_EQ(best.clustering.labels, (std::vector<int64_t>{0, 0, 0, 1, 1, 2, 2}));
  EXPECT_GT(best.silhouette, 0.9);
  EXPECT_EQ(best_clustering(line({1, 1, 1, 1}), 3, 5, random).clustering.k(), 0);
}

}  // namespace
}  // namespace preimage::ips
