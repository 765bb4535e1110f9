// Which samples make a step's group.
#include "probe/group.hpp"

#include <gtest/gtest.h>

namespace preimage::grpo {
namespace {

std::vector<PoolSample> pool(const std::string& name, std::vector<int64_t> steps, int64_t samples) {
  std::vector<PoolSample> out;
  for (const int64_t step : steps)
    for (int64_t i = 0; i < samples; ++i) out.push_back({name, step, i});
  return out;
}

TEST(Groups, TakeTheFirstHalfOfEachPool) {
  const std::vector<std::vector<PoolSample>> pools = {pool("teacher_pool", {0, 1}, 8),
                                                      pool("base_pool", {0, 1}, 8)};
  const auto groups = make_groups({.steps = 20}, pools);
  ASSERT_EQ(groups.size(), 2u);
  ASSERT_EQ(groups[1].samples.size(), 8u);
  EXPECT_EQ(groups[1].samples[3].source->index, 3);
  EXPECT_FALSE(groups[1].samples[3].base);
  EXPECT_TRUE(groups[1].samples[4].base);
  EXPECT_EQ(groups[1].samples[4].source->index, 0);
  EXPECT_EQ(groups[1].samples[4].source->step, 1);
}

TEST(Groups, BothHalvesMakeTwiceAsMany) {
  const std::vector<std::vector<PoolSample>> pools = {pool("teacher_pool", {0, 1}, 8),
                                                      pool("base_pool", {0, 1}, 8)};
  const auto groups = make_groups({.steps = 40, .both_halves = true}, pools);
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[3].step, 3);
  EXPECT_EQ(groups[3].samples[0].source->index, 4);
  EXPECT_EQ(groups[3].samples[0].source->step, 1);
}

TEST(Groups, OnePoolGivesAllItsSamples) {
  const std::vector<std::vector<PoolSample>> pools = {pool("teacher_pool", {0}, 8)};
  const auto groups = make_groups({.steps = 20}, pools);
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0].samples.size(), 8u);
}

TEST(Groups, StepsThatAPoolLacksAreLeftOut) {
  const std::vector<std::vector<PoolSample>> pools = {pool("teacher_pool", {0, 1, 2}, 4),
                                                      pool("base_pool", {0, 2}, 4)};
  const auto groups = make_groups({.steps = 20}, pools);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[1].step, 2);
}

}  // namespace
}  // namespace preimage::grpo
