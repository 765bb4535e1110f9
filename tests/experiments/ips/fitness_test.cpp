#include "fitness.hpp"

#include <cmath>

#include <gtest/gtest.h>

namespace preimage::ips {
namespace {

Terms perfect() {
  Terms terms;
  terms.lcs = terms.edit = 1;
  terms.exact = terms.ast = terms.ast_renamed = true;
  terms.exec = 1, terms.probes = 4;
  terms.prompt_tokens = 10, terms.code_tokens = 100;
  return terms;
}

constexpr Scale kScale{.most_tokens = 20, .unrelated = 0.5};

// Value 5 of the reference: S 0.5, alpha 0.002 a token, 40 tokens, beta 0.3, copy 0.2.
TEST(Fitness, LessLengthAndCopies) {
  Terms terms;
  terms.lcs = 0.5;
  terms.prompt_tokens = 40, terms.overlap = 0.2;
  const FitnessWeights weights{
      .lcs = 1, .edit = 0, .ast = 0, .exec = 0, .nll = 0, .alpha = 0.002 * 50, .beta = 0.3};
  EXPECT_DOUBLE_EQ(fitness(terms, weights, {.most_tokens = 50}).value, 0.36);
}

// Value 4: the loss of (0.1, 2.3, 0.05, 1.2) nats is 0.9125 a token.
TEST(Fitness, LossCountsAsProbabilityOfAToken) {
  Terms terms;
  terms.nll = 0.9125;
  const FitnessWeights weights{
      .lcs = 0, .edit = 0, .ast = 0, .exec = 0, .nll = 2, .alpha = 0, .beta = 0};
  EXPECT_NEAR(fitness(terms, weights, {}).match, 0.401519170314, 1e-12);
}

TEST(Fitness, WithoutProbesTheirWeightGoesToTheSubsequence) {
  auto terms = perfect();
  terms.lcs = 0.5, terms.exec = kUndefined;
  const FitnessWeights weights;
  EXPECT_NEAR(fitness(terms, weights, kScale).match, 0.6 * 0.5 + 0.1 + 0.2 + 0.1, 1e-15);
  terms.exec = 0;
  EXPECT_NEAR(fitness(terms, weights, kScale).match, 0.3 * 0.5 + 0.1 + 0.2 + 0.1, 1e-15);
}

TEST(Fitness, CopiesByMeaningCountFromUnrelatedTextsOn) {
  EXPECT_DOUBLE_EQ(calibrated_cosine(0.75, 0.5), 0.5);
  EXPECT_DOUBLE_EQ(calibrated_cosine(0.4, 0.5), 0);
  EXPECT_DOUBLE_EQ(calibrated_cosine(1, 1), 0);
}

TEST(Terms, JournalKeepsThem) {
  auto terms = perfect();
  terms.exec = kUndefined, terms.margin = 0.1 + 0.2, terms.hash = "h", terms.stop = "eos";
  const auto back = Terms::from_json(base::Json::parse(terms.to_json().dump()));
  EXPECT_EQ(back.to_json(), terms.to_json());
  EXPECT_TRUE(std::isnan(back.exec));
  EXPECT_EQ(back.margin, terms.margin);
}

Verdict verdict_of(const Terms& terms, double tau = 0.05) {
  return judge(terms, fitness(terms, {}, kScale), {}, kScale, tau);
}

TEST(Accept, EachRuleByItself) {
  EXPECT_TRUE(verdict_of(perfect()).holds());
  const auto failed = [](auto change) {
    auto terms = perfect();
    change(terms);
    return verdict_of(terms).failed();
  };
  EXPECT_EQ(failed([](Terms& t) { t.prompt_tokens = 2; }), "R1");
  EXPECT_EQ(failed([](Terms& t) { t.prompt_tokens = 21; }), "R1");
  EXPECT_EQ(failed([](Terms& t) { t.overlap = 0.21; }), "R2");
  EXPECT_EQ(failed([](Terms& t) { t.longest_run = 5; }), "R2");
  EXPECT_EQ(failed([](Terms& t) { t.longest_run = 5, t.code_tokens = 101; }), "");
  EXPECT_EQ(failed([](Terms& t) { t.cosine = 0.96; }), "R3");
  EXPECT_EQ(failed([](Terms& t) { t.exact = t.ast = false, t.exec = 0.5; }), "R4");
  EXPECT_EQ(failed([](Terms& t) { t.asks_repetition = true; }), "R6");
}

TEST(Accept, LevelsOfAMatch) {
  auto terms = perfect();
  EXPECT_EQ(verdict_of(terms).level, "exact");
  terms.exact = false;
  EXPECT_EQ(verdict_of(terms).level, "ast");
  terms.ast = false, terms.lcs = 0.5, terms.edit = 0.5;
  EXPECT_EQ(verdict_of(terms).level, "exec");
  terms.lcs = 0.49;  // a rewrite: it does the same and looks otherwise
  EXPECT_EQ(verdict_of(terms).level, "");
  terms.lcs = 0.5, terms.probes = 2;
  EXPECT_EQ(verdict_of(terms).level, "");
  terms = perfect();
  terms.exact = terms.ast = false, terms.exec = kUndefined, terms.nll = 0;
  EXPECT_EQ(verdict_of(terms, 0.21).level, "loss");
  EXPECT_EQ(verdict_of(terms, 0.19).level, "");
}

}  // namespace
}  // namespace preimage::ips
