// Against SciPy and NumPy: tests/base/fixtures/statistics.json, made by
// scripts/fixtures/make_statistics_fixtures.py.
#include "preimage/base/statistics.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"

namespace preimage::base {
namespace {

const Json& fixture() {
  static const Json json =
      read_json(std::string(PREIMAGE_TEST_DATA) + "/base/fixtures/statistics.json");
  return json;
}

void expect_close(double found, const Json& expected, double relative, const std::string& what) {
  const auto value = expected.get<double>();
  EXPECT_NEAR(found, value, relative * std::abs(value)) << what;
}

TEST(Statistics, WilsonAgreesWithScipy) {
  for (const auto& c : fixture()["wilson"]) {
    const auto interval = wilson(c["successes"], c["count"]);
    EXPECT_DOUBLE_EQ(interval.estimate, c["successes"].get<double>() / c["count"].get<double>());
    EXPECT_NEAR(interval.low, c["low"].get<double>(), 1e-12) << c;
    EXPECT_NEAR(interval.high, c["high"].get<double>(), 1e-12) << c;
  }
  EXPECT_TRUE(std::isnan(wilson(0, 0).estimate));
  EXPECT_EQ(wilson(0, 0).high, 1);
  EXPECT_THROW(wilson(3, 2), Error);
}

TEST(Statistics, McNemarAgreesWithScipy) {
  for (const auto& c : fixture()["mcnemar"])
    expect_close(mcnemar_exact(c["first"], c["second"]), c["p"], 1e-11, c.dump());
  EXPECT_DOUBLE_EQ(mcnemar_exact(0, 0), 1);
}

TEST(Statistics, StudentsDistributionAgreesWithScipy) {
  for (const auto& c : fixture()["t_two_sided"])
    expect_close(t_two_sided(c["t"], c["df"]), c["p"], 2e-10, c.dump());
  EXPECT_EQ(t_two_sided(INFINITY, 3), 0);
}

TEST(Statistics, TTestsAgreeWithScipy) {
  for (const auto& c : fixture()["t_tests"]) {
    const auto first = c["first"].get<std::vector<double>>();
    const auto second = c["second"].get<std::vector<double>>();
    const std::pair<std::string, TTest> both[] = {{"welch", welch(first, second)},
                                                  {"student", student(first, second)}};
    for (const auto& [name, found] : both) {
      const auto& expected = c[name];
      const auto what = name + " " + c.dump();
      expect_close(found.t, expected["t"], 1e-9, what);
      expect_close(found.df, expected["df"], 1e-9, what);
      expect_close(found.p, expected["p"], 1e-9, what);
      const double width = found.difference.high - found.difference.low;
      EXPECT_NEAR(found.difference.low, expected["low"].get<double>(), 1e-9 * width) << what;
      EXPECT_NEAR(found.difference.high, expected["high"].get<double>(), 1e-9 * width) << what;
    }
  }
  const std::vector<double> same = {2, 2, 2}, one = {3};
  EXPECT_TRUE(std::isnan(welch(same, same).p));
  EXPECT_TRUE(std::isnan(student(same, one).p));
  EXPECT_EQ(student(same, one).difference.estimate, -1);
}

std::vector<Labelled> labelled(const Json& strata) {
  std::vector<Labelled> out;
  for (size_t s = 0; s < strata.size(); ++s) {
    for (const double value : strata[s]["first"]) out.push_back({value, true, str("stratum ", s)});
    for (const double value : strata[s]["second"])
      out.push_back({value, false, str("stratum ", s)});
  }
  return out;
}

TEST(Statistics, PermutationsAgreeWithScipyWhereAllAreGoneThrough) {
  const RandomStream random(1, "test", "permutation");
  for (const auto& c : fixture()["permutations"]) {
    const auto found = permutation_test(labelled(c["strata"]), random);
    EXPECT_TRUE(found.exact);
    expect_close(found.p_less, c["p_less"], 1e-13, c.dump());
    expect_close(found.p_greater, c["p_greater"], 1e-13, c.dump());
    expect_close(found.p, c["p"], 1e-13, c.dump());
  }
}

TEST(Statistics, DrawnPermutationsComeNearTheExactShare) {
  for (const auto& c : fixture()["permutations"]) {
    const auto values = labelled(c["strata"]);
    const PermutationOptions options{.draws = 20000, .most_exact = 0};
    const auto found = permutation_test(values, {1, "test", "permutation"}, options);
    EXPECT_FALSE(found.exact);
    EXPECT_EQ(found.arrangements, 20001);
    for (const auto& [p, name] :
         {std::pair{found.p_less, "p_less"}, std::pair{found.p_greater, "p_greater"}}) {
      const auto expected = c[name].get<double>();
      const double error = std::sqrt(expected * (1 - expected) / 20000);
      EXPECT_NEAR(p, expected, 4 * error + 1e-4) << name << c;  // the observed one counts too
    }
    EXPECT_EQ(found.p, permutation_test(values, {1, "test", "permutation"}, options).p);
  }
  const Labelled alone[] = {{1, true, ""}, {2, true, ""}};
  EXPECT_TRUE(std::isnan(permutation_test(alone, {1, "test", "permutation"}).p));
}

TEST(Statistics, PercentileInterpolatesAsNumpyDoes) {
  const auto& c = fixture()["percentiles"];
  const auto sorted = c["sorted"].get<std::vector<double>>();
  for (size_t i = 0; i < c["fractions"].size(); ++i)
    EXPECT_DOUBLE_EQ(percentile(sorted, c["fractions"][i]), c["values"][i].get<double>());
}

// Percentiles of the exact distribution over all resamples.
TEST(Statistics, ClusterBootstrapAgreesWithFullEnumeration) {
  const auto& c = fixture()["cluster_bootstrap"];
  const Clustered data{c["values"], c["clusters"]};
  for (const auto& expected : c["intervals"]) {
    const auto found = cluster_bootstrap(data, {3, "test", "clusters"},
                                         {.draws = 20000, .confidence = expected["confidence"]});
    EXPECT_DOUBLE_EQ(found.estimate, c["estimate"].get<double>());
    EXPECT_NEAR(found.low, expected["low"].get<double>(), 1e-9);
    EXPECT_NEAR(found.high, expected["high"].get<double>(), 1e-9);
  }
}

TEST(Statistics, ClusterBootstrapDependsOnItsStreamAndNotOnTheOrder) {
  // Means of whole clusters that differ, so that other draws show.
  Clustered data;
  for (int i = 0; i < 60; ++i) {
    data.values.push_back(std::sin(i) + i % 7);
    data.clusters.push_back(str("article ", i % 7 + 7 * (i % 2)));
  }
  const auto low = [](const Clustered& of, uint64_t seed) {
    return cluster_bootstrap(of, {seed, "test", "clusters"}).low;
  };
  EXPECT_EQ(low(data, 1), low(data, 1));
  EXPECT_NE(low(data, 1), low(data, 2));
  const Clustered reversed{{data.values.rbegin(), data.values.rend()},
                           {data.clusters.rbegin(), data.clusters.rend()}};
  EXPECT_NEAR(low(reversed, 1), low(data, 1), 1e-12);
}

TEST(Statistics, ClusterBootstrapOfOneClusterHasNoWidth) {
  const RandomStream random(0, "test", "clusters");
  const auto one = cluster_bootstrap({{1, 0, 1, 1}, {"x", "x", "x", "x"}}, random);
  EXPECT_EQ(one.low, 0.75);
  EXPECT_EQ(one.high, 0.75);
  EXPECT_TRUE(std::isnan(cluster_bootstrap({}, random).low));
}

constexpr PercentileEnds whole_elements = PercentileEnds::order_statistics;

// All 256 resamples of (1, 0, 1, 1) have sums 0..4 in the shares 1, 12, 54, 108, 81.
TEST(Statistics, ReplicateBootstrapDrawsFromTheExactDistribution) {
  const std::vector<std::vector<double>> values = {{1, 0, 1, 1}};
  const auto interval =
      replicate_bootstrap(values, {5, "test", "cases"}, {.draws = 20000, .ends = whole_elements});
  EXPECT_DOUBLE_EQ(interval.estimate, 0.75);
  EXPECT_DOUBLE_EQ(interval.low, 0.25);  // P(sum <= 0) = 0.0039, P(sum <= 1) = 0.051
  EXPECT_DOUBLE_EQ(interval.high, 1);    // P(sum = 4) = 0.316
}

TEST(Statistics, ThreeReplicatesWidenTheInterval) {
  const std::vector<double> a(50, 0.0), b(50, 0.5), c(50, 1.0);
  const std::vector<std::vector<double>> three = {a, b, c}, two = {a, c};
  const RandomStream random(0, "test", "cases");
  const auto wide = replicate_bootstrap(three, random, {.ends = whole_elements});
  EXPECT_DOUBLE_EQ(wide.estimate, 0.5);
  EXPECT_DOUBLE_EQ(wide.low, 0);
  EXPECT_DOUBLE_EQ(wide.high, 1);
  const auto narrow = replicate_bootstrap(two, random, {.ends = whole_elements});
  EXPECT_DOUBLE_EQ(narrow.low, 0.5);
  EXPECT_DOUBLE_EQ(narrow.high, 0.5);
}

// Elements floor(0.025 B) and ceil(0.975 B) - 1 in whole numbers, for any B: rounding must not move
// an end by one.
TEST(Statistics, WholeElementsAreThoseOfTheConvention) {
  std::vector<double> cases(40);
  for (size_t i = 0; i < cases.size(); ++i) cases[i] = std::exp(0.3 * static_cast<double>(i));
  const std::vector<std::vector<double>> values = {cases};
  const RandomStream random(0, "test", "cases");
  for (int64_t draws = 1; draws <= 400; ++draws) {
    std::vector<double> means;
    for (int64_t d = 0; d < draws; ++d) {
      double sum = 0;
      for (uint64_t pick = 0; pick < cases.size(); ++pick)
        sum += cases[random.below(cases.size(),
                                  static_cast<uint64_t>(d) * (cases.size() + 1) + 1 + pick)];
      means.push_back(sum / static_cast<double>(cases.size()));
    }
    std::sort(means.begin(), means.end());
    const auto found =
        replicate_bootstrap(values, random, {.draws = draws, .ends = whole_elements});
    EXPECT_EQ(found.low, means[static_cast<size_t>(25 * draws / 1000)]) << draws;
    EXPECT_EQ(found.high, means[static_cast<size_t>((975 * draws + 999) / 1000 - 1)]) << draws;
  }
}

}  // namespace
}  // namespace preimage::base
