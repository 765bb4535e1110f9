// The integers of Hyperband with 1,319 items, from the paper's formulas.
#include "preimage/bo/hyperband.hpp"

#include <gtest/gtest.h>

#include "preimage/base/error.hpp"

namespace preimage::bo {
namespace {

using Stages = std::vector<std::pair<int64_t, int64_t>>;

Stages stages_of(const HyperbandBracket& bracket) {
  Stages out;
  for (const auto& stage : bracket.stages) out.emplace_back(stage.candidates, stage.items);
  return out;
}

TEST(Hyperband, TableOf1319Items) {
  const auto brackets = hyperband_brackets(1319, 1000, {});
  const std::vector<Stages> expected = {
      {{128, 10}, {64, 20}, {32, 41}, {16, 82}, {8, 164}, {4, 329}, {2, 659}, {1, 1319}},
      {{74, 20}, {37, 41}, {18, 82}, {9, 164}, {4, 329}, {2, 659}, {1, 1319}},
      {{43, 41}, {21, 82}, {10, 164}, {5, 329}, {2, 659}, {1, 1319}},
      {{26, 82}, {13, 164}, {6, 329}, {3, 659}, {1, 1319}},
      {{16, 164}, {8, 329}, {4, 659}, {2, 1319}},
      {{11, 329}, {5, 659}, {2, 1319}},
      {{8, 659}, {4, 1319}},
      {{8, 1319}}};
  const std::vector<int64_t> zero = {10449, 9902, 9407, 9534, 10530, 9552, 10548, 10552};
  const std::vector<int64_t> extended = {5884, 5713, 5589, 5838, 6584, 6589, 7912, 10552};
  ASSERT_EQ(brackets.size(), expected.size());
  for (size_t i = 0; i < brackets.size(); ++i) {
    EXPECT_EQ(brackets[i].s, static_cast<int64_t>(7 - i));
    EXPECT_EQ(stages_of(brackets[i]), expected[i]) << "bracket " << brackets[i].s;
    EXPECT_EQ(calls_from_zero({&brackets[i], 1}), zero[i]);
    EXPECT_EQ(calls_with_extension({&brackets[i], 1}), extended[i]);
  }
  EXPECT_EQ(calls_from_zero(brackets), 80474);
  EXPECT_EQ(calls_with_extension(brackets), 54661);
}

TEST(Hyperband, TheOriginalsLevelsAndThePlans) {
  HyperbandOptions options{.levels = "truncated"};
  auto brackets = hyperband_brackets(1319, 1000, options);
  EXPECT_EQ(calls_from_zero(brackets), 79954);
  EXPECT_EQ(calls_with_extension(brackets), 54338);
  std::vector<int64_t> last;
  for (const auto& bracket : brackets) last.push_back(bracket.stages.back().items);
  EXPECT_EQ(last, (std::vector<int64_t>{1280, 1280, 1312, 1312, 1312, 1316, 1318, 1319}));
  options.levels = "ascending";
  brackets = hyperband_brackets(1319, 1000, options);
  EXPECT_EQ(calls_from_zero(brackets), 19700);
  EXPECT_EQ(calls_with_extension(brackets), 11420);
}

TEST(Hyperband, ExactPowersSmallPoolsAndBadSizes) {
  // 10 x 2^7: floor(log2) of a rounded quotient would lose a bracket.
  EXPECT_EQ(hyperband_brackets(1280, 1000, {}).size(), 8u);
  EXPECT_EQ(hyperband_brackets(1279, 1000, {}).size(), 7u);
  EXPECT_EQ(hyperband_brackets(1000, 1000, {.min_items = 1, .eta = 10}).size(), 4u);
  const auto brackets = hyperband_brackets(1319, 20, {});
  EXPECT_EQ(
      stages_of(brackets[0]),
      (Stages{{20, 10}, {10, 20}, {5, 41}, {2, 82}, {1, 164}, {1, 329}, {1, 659}, {1, 1319}}));
  EXPECT_THROW(hyperband_brackets(5, 20, {}), base::Error);
  EXPECT_EQ(HyperbandOptions{}.check(5, "lipo.hyperband.").size(), 1u);
}

TEST(Hyperband, KeepsTheLowestErrorTiesByTheSmallerCandidate) {
  const auto kept = keep_best({{7, 1, 10}, {3, 2, 20}, {9, 0, 10}, {1, 3, 10}}, 3);
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].candidate, 9);
  EXPECT_EQ(kept[1].candidate, 3);  // 2/20 = 1/10
  EXPECT_EQ(kept[2].candidate, 7);
}

TEST(Hyperband, CountsExtendWithoutDrift) {
  ErrorCounts counts;
  counts.add({1, 2, 10});  // .2 of 10, .1 of ten more
  EXPECT_DOUBLE_EQ(counts.extend(1, 20, 1).error(), .15);
  EXPECT_DOUBLE_EQ(counts.extend(1, 40, 5).error(), .2);  // .25 of twenty more
  counts.add({2, 138, 1318});
  // (.1047 x 1318 + 1) / 1319 = .105378771797, .1047 being 138 / 1318 to four places.
  EXPECT_EQ(counts.extend(2, 1319, 1).error(), 139.0 / 1319);
  EXPECT_NEAR(139.0 / 1319, .105378771797, 5e-6);
  EXPECT_EQ(counts.below(1, 39).items, 20);
  EXPECT_EQ(counts.below(1, 9).items, 0);
  EXPECT_EQ(counts.below(5, 9).items, 0);
  EXPECT_EQ(counts.find(1, 20)->wrong, 3);
  EXPECT_FALSE(counts.find(1, 30));
  EXPECT_EQ(counts.levels(), (std::vector<int64_t>{10, 20, 40, 1318, 1319}));
  EXPECT_THROW(counts.add({1, 4, 20}), base::Error);
  EXPECT_THROW(counts.add({1, 21, 20}), base::Error);
}

ErrorCounts ladder() {
  ErrorCounts counts;
  for (int64_t c = 0; c < 8; ++c) counts.add({c, c % 4, 10});
  for (int64_t c = 0; c < 4; ++c) counts.extend(c, 20, 1);
  for (int64_t c = 0; c < 3; ++c) counts.extend(c, 80, 2);
  counts.extend(2, 100, 0);
  return counts;
}

TEST(Hyperband, ModelsTakeTheHighestLevelWithFourOrAllAboveAShare) {
  const auto counts = ladder();
  HyperbandOptions options;
  auto found = model_observations(counts, 100, options);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].items, 20);
  options.min_observations = 3;
  EXPECT_EQ(model_observations(counts, 100, options)[0].items, 80);
  options.proposals = "min_pct";
  found = model_observations(counts, 100, options);
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[2].items, 100);  // its own highest
  options.min_observations = 4;
  EXPECT_TRUE(model_observations(counts, 100, options).empty());
  options.proposals = "all_fidelities";
  EXPECT_EQ(model_observations(counts, 100, options).size(), 8u);
  options.proposals = "random";
  EXPECT_TRUE(model_observations(counts, 100, options).empty());
}

TEST(Hyperband, ProposalsFollowTheModelButForOneInTen) {
  const std::vector<int64_t> free = {2, 5, 7, 11};
  const std::vector<double> scores = {.1, .4, .4, .2};
  const base::RandomStream random(1, "unit", "proposals");
  int by_model = 0;
  std::vector<int> drawn(12);
  for (uint64_t i = 0; i < 4000; ++i) {
    const auto p = propose(free, scores, random, i, {});
    if (p.by_model) {
      EXPECT_EQ(p.candidate, 5);
      ++by_model;
    } else {
      ++drawn[p.candidate];
    }
  }
  EXPECT_NEAR(by_model, 3600, 80);
  for (const auto candidate : free) EXPECT_NEAR(drawn[candidate], 100, 40) << candidate;
  EXPECT_FALSE(propose(free, {}, random, 0, {}).by_model);
  EXPECT_THROW(propose({}, {}, random, 0, {}), base::Error);
}

TEST(Hyperband, TheIncumbentIsOfFullFidelity) {
  const auto counts = ladder();
  EXPECT_EQ(incumbent(counts, 100)->candidate, 2);
  EXPECT_FALSE(incumbent(counts, 1319));
}

}  // namespace
}  // namespace preimage::bo
