// Documents packed into micro-shards: every token once an epoch, each seen with its own document
// alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/lm/train/train.hpp"

namespace preimage::lm {
namespace {

constexpr int64_t kEnd = 2;

// Document d holds the ids 100 d, 100 d + 1, ... and the end.
std::vector<TrainDocument> documents(const std::vector<std::pair<int, int>>& sizes) {
  std::vector<TrainDocument> out;
  for (size_t d = 0; d < sizes.size(); ++d) {
    TrainDocument document;
    for (int i = 0; i + 1 < sizes[d].first; ++i)
      document.ids.push_back(static_cast<int32_t>(100 * (d + 1)) + i);
    document.ids.push_back(kEnd);
    document.first_target = sizes[d].second;
    out.push_back(document);
  }
  return out;
}

TEST(TrainStream, APredictionReadsTheTokenBeforeItAndTheFirstReadsTheEnd) {
  const TrainStream stream(documents({{4, 2}}), kEnd, 16, 0);
  EXPECT_EQ(stream.tokens_per_epoch(), 4);
  const auto shard = stream.shard(0, 4);
  EXPECT_EQ(shard.inputs, (std::vector<int64_t>{kEnd, 100, 101, 102}));
  EXPECT_EQ(shard.targets, (std::vector<int64_t>{100, 101, 102, kEnd}));
  EXPECT_EQ(shard.weights, (std::vector<float>{0, 0, 1, 1}));
  EXPECT_EQ(shard.counted, 2);
  EXPECT_EQ(shard.lengths, std::vector<int64_t>{4});
}

TEST(TrainStream, EveryEpochHasEveryTokenOnceInAnotherOrder) {
  const auto all = documents({{7, 0}, {3, 1}, {12, 0}, {1, 0}, {5, 4}, {9, 0}});
  const TrainStream stream(all, kEnd, 5, 11);
  ASSERT_EQ(stream.tokens_per_epoch(), 37);
  std::multiset<int64_t> expected;
  for (const auto& document : all) expected.insert(document.ids.begin(), document.ids.end());
  std::set<std::vector<int64_t>> orders;
  // Shards of 4 do not divide an epoch: four epochs are 37 shards.
  std::vector<int64_t> targets;
  for (int64_t s = 0; s < 37; ++s) {
    const auto shard = stream.shard(s, 4);
    ASSERT_EQ(shard.targets.size(), 4u);
    targets.insert(targets.end(), shard.targets.begin(), shard.targets.end());
  }
  for (int64_t epoch = 0; epoch < 4; ++epoch) {
    const std::vector<int64_t> order(targets.begin() + 37 * epoch,
                                     targets.begin() + 37 * (epoch + 1));
    EXPECT_EQ(std::multiset<int64_t>(order.begin(), order.end()), expected) << epoch;
    orders.insert(order);
  }
  EXPECT_EQ(orders.size(), 4u);
}

TEST(TrainStream, SequencesAreCutAtTheContextAndAtTheEndOfAShard) {
  const TrainStream stream(documents({{12, 0}, {7, 0}, {3, 0}}), kEnd, 5, 3);
  for (int64_t s = 0; s < 12; ++s) {
    const auto shard = stream.shard(s, 8);
    size_t at = 0;
    for (const int64_t length : shard.lengths) {
      ASSERT_GE(length, 1);
      ASSERT_LE(length, 5);
      for (int64_t i = 0; i < length; ++i, ++at) {
        const int64_t input = shard.inputs[at], target = shard.targets[at];
        if (i > 0) {
          EXPECT_EQ(input, shard.targets[at - 1]);  // the token before it, of its own sequence
        }
        if (target != kEnd && target % 100 > 0) {
          EXPECT_EQ(input, target - 1);
        }
        if (target != kEnd && target % 100 == 0) {
          EXPECT_EQ(input, kEnd);
        }
      }
    }
    EXPECT_EQ(at, 8u);
  }
}

TEST(TrainStream, AShardIsThatOfItsNumberWhateverWasAskedBefore) {
  const auto all = documents({{7, 0}, {3, 1}, {12, 0}, {5, 4}});
  const TrainStream forwards(all, kEnd, 6, 5), backwards(all, kEnd, 6, 5), other(all, kEnd, 6, 6);
  std::map<int64_t, std::vector<int64_t>> seen;
  for (int64_t s = 0; s < 60; ++s) seen[s] = forwards.shard(s, 10).targets;  // 22 epochs
  bool differs = false;
  for (int64_t s = 59; s >= 0; --s) {
    EXPECT_EQ(backwards.shard(s, 10).targets, seen[s]) << s;
    differs |= other.shard(s, 10).targets != seen[s];
  }
  EXPECT_TRUE(differs);
}

TEST(TrainStream, AShardMayHoldSeveralEpochs) {
  const TrainStream stream(documents({{2, 0}, {1, 0}}), kEnd, 6, 5);
  const auto shard = stream.shard(1, 30);
  EXPECT_EQ(std::count(shard.targets.begin(), shard.targets.end(), 100), 10);
  EXPECT_EQ(std::count(shard.targets.begin(), shard.targets.end(), kEnd), 20);
}

TEST(TrainStream, RefusesATextWithoutTokens) {
  EXPECT_THROW(TrainStream({}, kEnd, 4, 0), base::Error);
}

}  // namespace
}  // namespace preimage::lm
