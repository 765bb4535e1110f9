// Hyperband as a fold over evaluations: the plan's schedule in integers, and what it pays.
#include "ladder.hpp"

#include <gmock/gmock.h>

#include "preimage/base/str.hpp"

namespace preimage::lipo {
namespace {

constexpr int64_t kItems = 1319, kPool = 1000;

std::vector<Instruction> pool() {
  std::vector<Instruction> out;
  for (int64_t i = 0; i < kPool; ++i) out.push_back({i, "", base::str("instruction ", i)});
  return out;
}

// Instruction i answers item k wrong where a hash of the two says so: error grows with i.
bool wrong(int64_t i, int64_t k) {
  return static_cast<int64_t>(
             (static_cast<uint64_t>(i * 7919 + k * 104729 + i * k) * 2654435761u >> 7) % kPool) < i;
}

struct Climb {
  bo::HyperbandOptions options;
  std::vector<Instruction> texts = pool();
  std::unique_ptr<Ladder> ladder;
  std::unique_ptr<BitTable> bits;
  int64_t blocks = 0;

  explicit Climb(const bo::HyperbandOptions& given) : options(given) {
    ladder = std::make_unique<Ladder>(options, kItems, kPool);
    bits = std::make_unique<BitTable>("validation", cut_blocks(kItems, ladder->fidelities(), 200));
    const base::RandomStream random(1, "ladder", "test");
    while (!ladder->finished()) {
      if (const int64_t count = ladder->proposals_wanted(); count > 0) propose(count, random);
      const auto wanted = ladder->evaluations();
      for (const int64_t i : wanted.candidates) evaluate(i, wanted.items);
      ladder->evaluated(*bits, texts);
    }
  }

  void propose(int64_t count, const base::RandomStream& random) {
    std::vector<Ladder::Proposed> out;
    auto free = ladder->free();
    for (int64_t i = 0; i < count; ++i) {
      const auto number = static_cast<uint64_t>(ladder->next_number() + i);
      const auto one = bo::propose(free, {}, random, number, options);
      out.push_back({one.candidate, one.by_model, 0});
      std::erase(free, one.candidate);
    }
    ladder->propose(out);
  }

  void evaluate(int64_t i, int64_t items) {
    const auto& text = texts[static_cast<size_t>(i)].text;
    for (const auto& unit : bits->missing(text, items)) {
      std::string row;
      for (auto k = unit.key["begin"].get<int64_t>(); k < unit.key["end"].get<int64_t>(); ++k)
        row += wrong(i, k) ? '0' : '1';
      bits->add(text, unit.key["begin"].get<int64_t>(), row);
      ++blocks;
    }
  }
};

TEST(Ladder, IsThePlansScheduleAndSharesWhatWasPaid) {
  bo::HyperbandOptions options;
  options.proposals = "random";
  const Climb run(options);
  std::map<std::pair<int64_t, int64_t>, std::pair<int64_t, int64_t>> stages;  // count, items
  int64_t calls = 0, full = 0;
  for (const auto& e : run.ladder->entries()) {
    auto& stage = stages[{e.bracket, e.stage}];
    ++stage.first;
    stage.second = e.items;
    calls += e.calls;
    full += e.items == kItems ? 1 : 0;
  }
  const auto expect = [&](int64_t s, std::vector<std::pair<int64_t, int64_t>> row) {
    for (size_t i = 0; i < row.size(); ++i)
      EXPECT_EQ((stages[{s, static_cast<int64_t>(i)}]), row[i]) << s << " " << i;
  };
  expect(7, {{128, 10}, {64, 20}, {32, 41}, {16, 82}, {8, 164}, {4, 329}, {2, 659}, {1, 1319}});
  expect(3, {{16, 164}, {8, 329}, {4, 659}, {2, 1319}});
  expect(0, {{8, 1319}});
  EXPECT_EQ(stages.size(), 36u);
  EXPECT_EQ(full, 20);
  EXPECT_EQ(calls, run.ladder->ledger.calls());
  EXPECT_LE(calls, 54661);  // brackets share instructions
  EXPECT_GT(calls, 45000);
  EXPECT_EQ(run.ladder->next_number(), 314);
}

TEST(Ladder, ProposalsWaitForEvaluationsThatChangeTheModelsData) {
  bo::HyperbandOptions options;
  Ladder ladder(options, kItems, kPool);
  EXPECT_EQ(ladder.proposals_wanted(), 4);  // until a level has four observations
  ladder.propose({{3}, {1}, {4}, {2}});
  EXPECT_EQ(ladder.proposals_wanted(), 0);
  BitTable bits("validation", cut_blocks(kItems, ladder.fidelities(), 200));
  for (const int64_t i : {1, 2, 3, 4}) bits.add(base::str("instruction ", i), 0, "1010101010");
  ladder.evaluated(bits, pool());
  EXPECT_EQ(ladder.proposals_wanted(), 1);  // each changes the data
  EXPECT_EQ(ladder.observations().size(), 4u);
  options.proposals = "min_pct";
  EXPECT_EQ(Ladder(options, kItems, kPool).proposals_wanted(), 128);
}

TEST(BitTable, ServesEveryFidelityAndAsksForNothingTwice) {
  BitTable bits("validation", cut_blocks(40, {10, 20}, 15));
  const auto missing = bits.missing("t", 40);
  ASSERT_EQ(missing.size(), 4u);  // 10, 10, 15, 5
  EXPECT_EQ(missing[2].key["begin"], 20);
  EXPECT_EQ(missing[2].key["end"], 35);
  bits.add("t", 0, "0011111111");
  EXPECT_EQ(bits.wrong("t", 10), 2);  // 0.2 at 10
  EXPECT_FALSE(bits.knows("t", 20));
  bits.add("t", 10, "1111111110");
  EXPECT_EQ(bits.wrong("t", 20), 3);  // and 0.1 on ten more: 0.15 at 20
  EXPECT_EQ(bits.missing("t", 40).size(), 2u);
  EXPECT_TRUE(bits.missing("t", 20).empty());
}

TEST(CallLedger, AnItemIsPaidOnceForEachInstruction) {
  CallLedger ledger;
  EXPECT_EQ(ledger.pay("a", 10), 10);
  EXPECT_EQ(ledger.pay("a", 30), 20);
  EXPECT_EQ(ledger.pay("a", 20), 0);
  EXPECT_EQ(ledger.pay("b", 5), 5);
  EXPECT_EQ(ledger.calls(), 35);
}

}  // namespace
}  // namespace preimage::lipo
