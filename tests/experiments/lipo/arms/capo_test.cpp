#include "arms/capo.hpp"

#include <gtest/gtest.h>

#include "preimage/base/error.hpp"

namespace preimage::lipo {
namespace {

CapoState four() {
  return first_population({{"one two", 0, 20, 100},
                           {"one two", 1, 30, 100},
                           {"one two three four", 2, 20, 100},
                           {"bad", 3, 90, 100}},
                          {.population = 3});
}

TEST(Capo, ObjectivePenalisesLength) {
  const CapoOptions options{.length_penalty = 0.1};
  EXPECT_DOUBLE_EQ(capo_objective({"a b c", 0, 1, 4}, 2, options), 0.25 + 0.15);
  const auto state = four();
  EXPECT_DOUBLE_EQ(state.mean_words, 9.0 / 4);
  ASSERT_EQ(state.population.size(), 3u);
  EXPECT_EQ(state.population[0].place, 0);
  EXPECT_EQ(state.population[1].place, 2);
  EXPECT_EQ(state.population[2].place, 1);
}

TEST(Capo, TestOfTwoProportions) {
  // z = 0.2 / sqrt(0.3 x 0.7 x 2 / 50) = 2.182, one-sided p 0.0146.
  EXPECT_TRUE(significantly_worse({"", 0, 20, 50}, {"", 0, 10, 50}, 0.015));
  EXPECT_FALSE(significantly_worse({"", 0, 20, 50}, {"", 0, 10, 50}, 0.014));
  EXPECT_FALSE(significantly_worse({"", 0, 10, 50}, {"", 0, 20, 50}, 0.2));
  EXPECT_FALSE(significantly_worse({"", 0, 0, 50}, {"", 0, 0, 50}, 0.2));
}

TEST(Capo, ARaceIsReplayedStageByStage) {
  const CapoOptions options{.population = 3, .offspring = 2, .stages = 3, .significance = 0.05};
  const auto ladder = bo::hyperband_brackets(100, 50, {});
  EXPECT_EQ(capo_stage_items(0, 100, ladder, options), 25);
  EXPECT_EQ(capo_stage_items(1, 100, ladder, options), 50);
  EXPECT_EQ(capo_stage_items(2, 100, ladder, options), 100);
  EXPECT_EQ(capo_stage_items(0, 100, ladder, {.stages = 9}), 12);  // no lower one
  // One child is out at once, the other goes on.
  auto state = replay(four(), {{"x", 4, 25, 25}, {"y", 5, 3, 25}}, options);
  EXPECT_EQ(state.stage, 1);
  ASSERT_EQ(state.racing.size(), 1u);
  EXPECT_EQ(state.racing[0].text, "y");
  state = replay(state, {{"y", 5, 5, 50}}, options);
  EXPECT_EQ(state.stage, 2);
  state = replay(state, {{"y", 5, 9, 100}}, options);
  EXPECT_EQ(state.stage, 0);
  EXPECT_EQ(state.population[0].text, "y");
  EXPECT_EQ(state.population.size(), 3u);
  // The same from the start, in one go, and a generation that loses both children.
  const std::vector<CapoMember> all = {{"x", 4, 25, 25}, {"y", 5, 3, 25},  {"y", 5, 5, 50},
                                       {"y", 5, 9, 100}, {"v", 6, 25, 25}, {"w", 7, 24, 25}};
  const auto again = replay(four(), all, options);
  EXPECT_EQ(again.stage, 0);
  EXPECT_TRUE(again.racing.empty());
  EXPECT_EQ(again.population[0].text, "y");
  EXPECT_THROW(replay(four(), {{"x", 4, 25, 25}}, options), base::Error);
  EXPECT_THROW(replay(four(), {{"x", 4, 25, 25}, {"y", 5, 3, 25}, {"x", 4, 30, 50}}, options),
               base::Error);
}

}  // namespace
}  // namespace preimage::lipo
