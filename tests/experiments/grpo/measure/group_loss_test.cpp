// Values of the reference.
#include "measure/group_loss.hpp"

#include <gtest/gtest.h>

namespace preimage::grpo {
namespace {

TEST(Group, AdvantagesOfTheReference) {
  const std::vector<double> rewards = {3.5, 3.5, 3.5, .5, .5, .5, .25, 0};
  const auto group = make_group(rewards);
  EXPECT_DOUBLE_EQ(group.mean, 1.53125);
  EXPECT_DOUBLE_EQ(group.advantages[0], 1.96875);
  EXPECT_DOUBLE_EQ(group.advantages[5], -1.03125);
  EXPECT_DOUBLE_EQ(group.advantages[6], -1.28125);
  EXPECT_DOUBLE_EQ(group.advantages[7], -1.53125);
  EXPECT_NEAR(group.deviation, 1.6390, 5e-5);
  EXPECT_DOUBLE_EQ(group.range, 3.5);
}

TEST(Group, EqualRewardsGiveNoAdvantage) {
  const auto group = make_group(std::vector<double>{.1, .1, .1});
  EXPECT_TRUE(group.flat());
  EXPECT_EQ(group.advantages, (std::vector<double>{0, 0, 0}));
}

// Rows of log-probabilities (-1, -2) and (-.5, -.5, -1), A = +-1.5.
TEST(Losses, OfTheReference) {
  const auto group = make_group(std::vector<double>{3, 0});
  EXPECT_DOUBLE_EQ(group.advantages[0], 1.5);
  const std::vector<double> nll = {1.5, 2.0 / 3};
  const std::vector<int64_t> lengths = {2, 3};
  const auto loss = [&](Denominator denominator) {
    const auto w = loss_weights(group, lengths, denominator, /*max_new=*/4);
    return w[0] * nll[0] + w[1] * nll[1];
  };
  EXPECT_NEAR(loss(Denominator::plan), .625, 1e-12);
  EXPECT_NEAR(loss(Denominator::dr_grpo), .1875, 1e-12);
  EXPECT_NEAR(loss(Denominator::classic), .625 / (1.5 * 1.4142135623730951 + 1e-8), 1e-12);
}

TEST(K3, OfTheReference) {
  EXPECT_NEAR(k3(-.1), .00483741803596, 1e-14);
  EXPECT_NEAR(k3(.2), .0214027581602, 1e-13);
  EXPECT_NEAR(k3(1), .718281828459, 1e-12);
  EXPECT_EQ(k3(0), 0);
}

}  // namespace
}  // namespace preimage::grpo
