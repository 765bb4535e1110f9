#include "arms/selection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace preimage::verifier {
namespace {

std::vector<Choice> four() {
  return {{"long program", 4, -2, "1 2"},
          {"mid", 3, -1.8, "3 4"},
          {"s", 1, -1, "1 2"},
          {"other", 2, -9, ""}};
}

int64_t chosen(const std::string& control) {
  const auto choices = four();
  return select_lowest(control_costs(control, choices), choices, 0);
}

TEST(Selection, Controls) {
  EXPECT_EQ(chosen("shortest"), 2);
  EXPECT_EQ(chosen("longest"), 0);
  EXPECT_EQ(chosen("logprob_sum"), 2);
  EXPECT_EQ(chosen("logprob_mean"), 0);  // -0.5 a token
  const auto choices = four();
  const auto costs = control_costs("majority", choices);
  EXPECT_EQ(costs, (std::vector<double>{-2, -1, -2, 0}));
}

TEST(Selection, ShownTestsComeFirstAndCostsDecideBehindThem) {
  auto choices = four();
  choices[1].passes_shown = true;
  choices[3].passes_shown = true;
  choices[2].passes_shown = false;  // the first was not tried
  EXPECT_EQ(control_costs("shown_tests", choices), (std::vector<double>{1, 0, 1, 0}));
  // The lowest cost of all fails them; of those that pass, the second has the lower one.
  const std::vector<double> costs = {-5, 2.5, -7, 3};
  const auto behind = behind_shown_tests(costs, choices);
  EXPECT_EQ(select_lowest(behind, choices, 0), 1);
  EXPECT_LT(behind[3], std::min(behind[0], behind[2]));
  EXPECT_LT(behind[2], behind[0]);
  EXPECT_TRUE(behind_shown_tests({}, {}).empty());
}

TEST(Selection, TheLowestWins) {
  EXPECT_EQ(select_lowest({0.4, 0.1, 0.3, 0.2}, four(), 0), 1);
}

TEST(Selection, TiesFollowTheProgramAndNotItsPlace) {
  auto choices = four();
  std::map<std::string, int> wins;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const auto first = choices[static_cast<size_t>(select_lowest({1, 1, 1, 1}, choices, seed))];
    auto turned = choices;
    std::reverse(turned.begin(), turned.end());
    const auto second = turned[static_cast<size_t>(select_lowest({1, 1, 1, 1}, turned, seed))];
    ASSERT_EQ(first.program, second.program);
    ++wins[first.program];
  }
  ASSERT_EQ(wins.size(), 4u);
  for (const auto& [program, count] : wins) EXPECT_NEAR(count, 100, 35) << program;
}

}  // namespace
}  // namespace preimage::verifier
