#include "arms/genetic.hpp"

#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "arms/operators.hpp"
#include "arms/search_record.hpp"
#include "preimage/base/str.hpp"

namespace preimage::ips {
namespace {

struct World {
  text::Tokenizer tokenizer =
      text::load_tokenizer(std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder");
  Target target;
  PromptSource prompts{{{"Compute {words}", "{words}"},
                        {"even", "odd", "sum", "list", "square", "first", "last", "digit"},
                        {{"sum", "total"}}},
                       {"sum of even squares"}};
  std::vector<bool> readable;
  World() { target.id = "t", target.most_tokens = 12; }
  ArmInputs inputs(uint64_t seed = 0) {
    return {target, tokenizer, prompts, readable, seed, "ga/0/t"};
  }
};

// A landscape of words: how many of the wanted ones a prompt holds.
Terms terms_of(const World& world, const std::string& prompt) {
  Terms terms;
  for (const char* word : {"even", "sum", "square", "first"}) {
    if (folded(prompt).find(word) != std::string::npos) terms.lcs += 0.25;
  }
  terms.nll = 1 - terms.lcs;
  terms.prompt_tokens = std::ssize(prompt_tokens(world.tokenizer, prompt));
  return terms;
}

struct Run {
  std::vector<std::vector<Ask>> waves;
  std::vector<double> best;  // fitness of each wave
  std::string ended;
};

Run run(World& world, const GeneticOptions& options, bool selects, uint64_t seed = 0) {
  Genetic arm(world.inputs(seed), options, selects);
  Run out;
  int64_t index = 0;
  for (auto asks = arm.ask(); !asks.empty(); asks = arm.ask()) {
    std::vector<Terms> terms;
    for (const auto& ask : asks) terms.push_back(terms_of(world, ask.text));
    std::vector<Reply> replies;
    double best = -1;
    for (const auto& one : terms) {
      replies.push_back(
          {.index = index++, .terms = &one, .fitness = fitness(one, {}, {.most_tokens = 12})});
      best = std::max(best, replies.back().fitness.value);
    }
    arm.tell(asks, replies);
    out.waves.push_back(asks);
    out.best.push_back(best);
  }
  out.ended = arm.ended();
  return out;
}

GeneticOptions small() {
  return {.population = 30, .generations = 12, .stagnation = 40};
}

// Value 12 of the reference: 1 - (1 - 1/100)^5 with replacement.
TEST(Tournament, HoldsTheBestAsOftenAsTheReferenceSays) {
  Draws draws(0, "test", "tournament");
  int64_t hits = 0;
  constexpr int64_t kDraws = 200'000;
  for (int64_t i = 0; i < kDraws; ++i) hits += tournament(100, 5, draws) == 0;
  EXPECT_NEAR(static_cast<double>(hits) / kDraws, 0.04900995010,
              4 * std::sqrt(0.049 * 0.951 / kDraws));
}

TEST(Ranking, TiesGoToTheShorterThenToTheEarlierText) {
  EXPECT_TRUE(better({"z", 1, 9}, {"a", 0.5, 1}));
  EXPECT_TRUE(better({"z", 1, 2}, {"a", 1, 3}));
  EXPECT_TRUE(better({"a", 1, 2}, {"b", 1, 2}));
  EXPECT_FALSE(better({"a", 1, 2}, {"a", 1, 2}));
}

TEST(Genetic, GenerationsAreDistinctWithinTheLimitAndHoldTheElite) {
  World world;
  const auto found = run(world, small(), true);
  ASSERT_EQ(found.waves.size(), 12u);
  EXPECT_EQ(found.ended, "generations");
  for (size_t w = 0; w < found.waves.size(); ++w) {
    std::set<std::string> seen;
    for (const auto& ask : found.waves[w]) {
      EXPECT_TRUE(seen.insert(folded(ask.text)).second) << ask.text;
      EXPECT_LE(std::ssize(prompt_tokens(world.tokenizer, ask.text)), 12) << ask.text;
      EXPECT_FALSE(ask.text.empty());
    }
    EXPECT_EQ(found.waves[w].size(), 30u);
    if (w == 0) continue;
    EXPECT_EQ(found.waves[w][0].operation, "elite");
    EXPECT_GE(found.best[w], found.best[w - 1]);
    EXPECT_EQ(found.waves[w].back().operation, "immigrant");
  }
}

TEST(Genetic, SelectionFindsWhatRandomSearchDoesNot) {
  World world;
  double selected = 0, random = 0;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    selected += run(world, small(), true, seed).best.back();
    random += run(world, small(), false, seed).best.back();
  }
  EXPECT_GT(selected, random + 0.2);
}

TEST(Genetic, RestartsOnceAndThenStops) {
  World world;
  auto options = small();
  options.generations = 100, options.stagnation = 3, options.improvement = 10;  // nothing counts
  const auto found = run(world, options, true);
  EXPECT_EQ(found.ended, "stagnation");
  ASSERT_EQ(found.waves.size(), 7u);
  const auto immigrants = [&](size_t wave) {
    int64_t count = 0;
    for (const auto& ask : found.waves[wave]) count += ask.operation.starts_with("immigrant");
    return count;
  };
  EXPECT_GE(immigrants(4), 15);  // half of the generation behind the restart
  EXPECT_LT(immigrants(5), 15);
}

TEST(Genetic, TheSameSeedAsksTheSame) {
  World world;
  const auto texts = [&](uint64_t seed) {
    std::string out;
    for (const auto& wave : run(world, small(), true, seed).waves)
      for (const auto& ask : wave) out += ask.text + "\n";
    return out;
  };
  EXPECT_EQ(texts(3), texts(3));
  EXPECT_NE(texts(3), texts(4));
}

// A search that asks for the same prompt twice, and for one more each time.
class Scripted : public Arm {
 public:
  std::vector<Ask> ask() override {
    return {{.text = "same"}, {.text = base::str("new ", wave_)}, {.text = "same"}};
  }
  void tell(const std::vector<Ask>&, const std::vector<Reply>&) override { ++wave_; }

 private:
  int wave_ = 0;
};

TEST(SearchRecord, CountsEachPromptOnceAndStopsWhenTheCallsAreUsedUp) {
  SearchRecord record({0, "scripted", 0}, std::make_unique<Scripted>(),
                      {.calls = 4, .successes = 9});
  const auto terms = std::make_shared<const Terms>();
  while (record.active()) {
    record.ask([](const Ask& ask) { return ask.text; });
    if (record.granted().asks.empty()) break;
    record.tell(std::vector<SearchRecord::Result>(record.granted().asks.size(), {terms, {}, {}}),
                [](const Terms&) { return Judged{}; });
  }
  EXPECT_EQ(record.stop_rule(), "budget");
  EXPECT_EQ(record.counts().executed, 4);
  EXPECT_EQ(record.counts().requested, 9);
  EXPECT_EQ(record.counts().cache_hits, 5);
  EXPECT_EQ(record.counts().nll_passes, 4);
  EXPECT_EQ(record.generations(), 3);
  EXPECT_EQ(record.calls_to_success(), -1);
}

TEST(SearchRecord, SuccessIsTheFirstAcceptedPromptAndItsCalls) {
  SearchRecord record({0, "scripted", 0}, std::make_unique<Scripted>(),
                      {.calls = 9, .successes = 1});
  const auto terms = std::make_shared<const Terms>();
  record.ask([](const Ask& ask) { return ask.text; });
  int told = 0;
  record.tell({{terms, {}, {}}, {terms, {}, {}}, {terms, {}, {}}}, [&](const Terms&) {
    return Judged{{}, ++told == 2};
  });
  EXPECT_EQ(record.stop_rule(), "success");
  EXPECT_EQ(record.calls_to_success(), 2);
  EXPECT_EQ(record.generations_to_success(), 1);
  EXPECT_EQ(record.successes(), (std::vector<int64_t>{1}));
}

}  // namespace
}  // namespace preimage::ips
