#include "pairs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "edit_distance.hpp"
#include "preimage/base/random.hpp"

namespace preimage::verifier {
namespace {

// The textbook table.
int64_t table_distance(const std::string& a, const std::string& b) {
  std::vector<int64_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int64_t diagonal = row[0];
    row[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int64_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

TEST(EditDistance, KnownWords) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("abc", ""), 3);
  EXPECT_EQ(edit_distance("", ""), 0);
  EXPECT_EQ(edit_distance("intention", "execution"), 5);
}

TEST(EditDistance, AgreesWithTheTableAcrossBlocks) {
  const base::RandomStream random(1, "edit distance", "test");
  uint64_t at = 0;
  for (int i = 0; i < 200; ++i) {
    std::string a, b;
    for (auto* text : {&a, &b}) {
      const auto length = random.below(200, at++);
      for (uint64_t j = 0; j < length; ++j)
        text->push_back(static_cast<char>('a' + random.below(3, at++)));
    }
    if (i % 3 == 0) b = a.substr(a.size() / 4) + b.substr(0, b.size() / 8);
    ASSERT_EQ(edit_distance(a, b), table_distance(a, b)) << a << " " << b;
  }
}

MiningCandidate candidate(const std::string& program, bool passes) {
  return {program, program, passes};
}

TEST(Pairs, EqualNormalFormsCountOnceAndContradictionsNotAtAll) {
  const std::vector<MiningCandidate> candidates = {{"a  b", "ab", true},
                                                   {"c", "c", false},
                                                   {"a b", "ab", true},
                                                   {"d", "d", true},
                                                   {"d ", "d", false}};
  const auto distinct = distinct_candidates(candidates);
  EXPECT_EQ(distinct.passing, std::vector<int64_t>{0});
  EXPECT_EQ(distinct.failing, std::vector<int64_t>{1});
  EXPECT_EQ(distinct.duplicates, 2);
  EXPECT_EQ(distinct.contradictions, 1);
}

std::vector<std::vector<MiningCandidate>> two_problems() {
  std::vector<MiningCandidate> first = {candidate("return a + b", true)};
  for (const char* text : {"return a - b", "return a + c", "print(123)", "while True: pass",
                           "import os\nimport sys", "x = [1, 2, 3]"})
    first.push_back(candidate(text, false));
  std::vector<MiningCandidate> second;
  for (int i = 0; i < 30; ++i) second.push_back(candidate("p" + std::to_string(i), i < 20));
  return {first, second};
}

TEST(Pairs, HalfOfTheNegativesAreTheNearest) {
  const PairMiner miner(two_problems(), {}, 7);
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    for (const auto& group : miner.epoch(epoch)) {
      if (group.problem != 0) continue;
      ASSERT_EQ(group.negatives.size(), 4u);
      EXPECT_EQ(group.hard, 2);
      EXPECT_EQ(std::set<int64_t>(group.negatives.begin(), group.negatives.begin() + 2),
                (std::set<int64_t>{1, 2}));
      EXPECT_EQ(std::set<int64_t>(group.negatives.begin(), group.negatives.end()).size(), 4u);
    }
  }
}

TEST(Pairs, CapAndEqualWeightOfProblems) {
  const PairMiner miner(two_problems(), {.negatives = 4, .problem_pairs = 40}, 7);
  EXPECT_EQ(miner.problems_with_both(), 2);
  EXPECT_EQ(miner.groups_per_epoch(), 11);
  const auto groups = miner.epoch(0);
  EXPECT_EQ(groups.size(), 11u);
  std::map<int64_t, double> weights;
  std::map<int64_t, int64_t> pairs;
  for (const auto& group : groups) {
    weights[group.problem] += group.weight;
    pairs[group.problem] += static_cast<int64_t>(group.negatives.size());
  }
  EXPECT_NEAR(weights[0], 1, 1e-12);
  EXPECT_NEAR(weights[1], 1, 1e-12);
  EXPECT_EQ(pairs[1], 40);
}

TEST(Pairs, EpochsDifferAndRepeatBySeed) {
  const PairMiner a(two_problems(), {}, 7), b(two_problems(), {}, 7), c(two_problems(), {}, 8);
  const auto signature = [](const std::vector<Group>& groups) {
    std::vector<int64_t> out;
    for (const auto& group : groups) {
      out.push_back(group.positive);
      out.insert(out.end(), group.negatives.begin(), group.negatives.end());
    }
    return out;
  };
  EXPECT_EQ(signature(a.epoch(3)), signature(b.epoch(3)));
  EXPECT_NE(signature(a.epoch(3)), signature(a.epoch(4)));
  EXPECT_NE(signature(a.epoch(3)), signature(c.epoch(3)));
}

TEST(Pairs, AProblemWithOneLabelGivesNone) {
  const PairMiner miner({{candidate("a", true), candidate("b", true)}, {candidate("c", false)}, {}},
                        {}, 0);
  EXPECT_EQ(miner.groups_per_epoch(), 0);
  EXPECT_TRUE(miner.epoch(0).empty());
}

}  // namespace
}  // namespace preimage::verifier
