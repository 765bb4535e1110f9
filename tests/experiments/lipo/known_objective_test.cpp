// In 64 dimensions the corrected sign beats random search, the plan's does not; bench/lipo.sh gives
// the figures over 20 seeds.
#include "known_objective.hpp"

#include <gtest/gtest.h>

#include "preimage/base/statistics.hpp"

namespace preimage::lipo {
namespace {

TEST(KnownObjective, LiesBetweenItsEndsAndFollowsItsSeed) {
  const KnownSearchOptions options;
  EXPECT_EQ(known_error(std::vector<double>(64, 0.5), options, 1), 0.5);
  std::vector<double> z(64, 0.5);
  z[3] = 1;
  const double error = known_error(z, options, 1);
  EXPECT_NE(error, 0.5);
  z[3] = 0;
  EXPECT_NEAR(known_error(z, options, 1), 1 - error, 1e-12);  // odd about the centre
  EXPECT_NE(known_error(z, options, 1), known_error(z, options, 2));
}

TEST(KnownObjective, TheCorrectedSignBeatsRandomSearchThePlansDoesNot) {
  KnownSearchOptions options{.iterations = 12};
  options.acquisition.restarts = 4;
  std::vector<base::Labelled> corrected, plan;
  double means[3] = {};
  constexpr int kSeeds = 8;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    double lowest[3];
    int arm = 0;
    for (const char* proposals : {"log_ei", "random", "plan_sign"}) {
      options.proposals = proposals;
      lowest[arm] = search_known_objective(options, seed).lowest.back();
      means[arm] += lowest[arm] / kSeeds;
      ++arm;
    }
    const auto pair = std::to_string(seed);
    corrected.push_back({lowest[0], true, pair}), corrected.push_back({lowest[1], false, pair});
    plan.push_back({lowest[2], true, pair}), plan.push_back({lowest[1], false, pair});
  }
  const base::RandomStream random(1, "unit", "permutation");
  EXPECT_LT(means[0], means[1]);
  EXPECT_LT(base::permutation_test(corrected, random).p_less, 0.01);
  EXPECT_GE(means[2], means[1]);
  EXPECT_GT(base::permutation_test(plan, random).p_less, 0.05);
}

}  // namespace
}  // namespace preimage::lipo
