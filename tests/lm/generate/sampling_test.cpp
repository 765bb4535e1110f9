// The processors against those of transformers (scripts/fixtures/make_sampling_fixtures.py); the
// draw against the distribution it comes from.
#include "preimage/lm/generate/sampling.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"

namespace preimage::lm {
namespace {

SamplingOptions options_of(const base::Json& json) {
  SamplingOptions options;
  options.temperature = json.value("temperature", 0.0);
  options.top_k = json.value("top_k", 0);
  options.top_p = json.value("top_p", 1.0);
  options.min_p = json.value("min_p", 0.0);
  options.repetition_penalty = json.value("repetition_penalty", 1.0);
  options.no_repeat_ngram = json.value("no_repeat_ngram", 0);
  return options;
}

TEST(Sampling, ProcessorsOfTransformers) {
  const auto cases = base::read_json(fixture("sampling.json"));
  ASSERT_GT(cases.size(), 30u);
  for (const auto& one : cases) {
    auto logits = one["logits"].get<std::vector<float>>();
    const auto history = one["history"].get<std::vector<int64_t>>();
    process_logits(logits, options_of(one["options"]), history);
    for (size_t i = 0; i < logits.size(); ++i) {
      const auto& expected = one["processed"][i];
      if (expected.is_null()) {
        EXPECT_EQ(logits[i], -INFINITY) << one["options"] << " " << i;
      } else {
        EXPECT_NEAR(logits[i], expected.get<float>(), 1e-6 * std::abs(logits[i]))
            << one["options"] << " " << i;
      }
    }
  }
}

TEST(Sampling, DrawsFromTheDistribution) {
  const std::vector<float> logits = {0.f, 1.f, -INFINITY, 2.f, -1.f};
  const SamplingOptions options{.temperature = 1};
  const int64_t draws = 100'000;
  std::vector<double> share(logits.size());
  for (int64_t i = 0; i < draws; ++i)
    share[static_cast<size_t>(pick_token(logits, options, sampling_uniform(3, 1, i)))] +=
        1.0 / draws;
  const double total = 1 + std::exp(1.0) + std::exp(2.0) + std::exp(-1.0);
  for (size_t i = 0; i < logits.size(); ++i) {
    const double p = std::exp(static_cast<double>(logits[i])) / total;
    EXPECT_NEAR(share[i], p, 5 * std::sqrt(p * (1 - p) / draws)) << i;
  }
  EXPECT_EQ(pick_token(logits, options, 0), 0);
  EXPECT_EQ(pick_token(logits, options, 1 - 1e-16), 4);
}

TEST(Sampling, GreedyTakesTheFirstOfATie) {
  EXPECT_EQ(pick_token(std::vector<float>{1, 3, 3, 2}, {}, 0.9), 1);
}

TEST(Sampling, TheKeyIsSeedAndIndex) {
  EXPECT_EQ(sampling_uniform(1, 2, 3), sampling_uniform(1, 2, 3));
  EXPECT_NE(sampling_uniform(1, 2, 3), sampling_uniform(2, 2, 3));
  EXPECT_NE(sampling_uniform(1, 2, 3), sampling_uniform(1, 3, 3));
  EXPECT_NE(sampling_uniform(1, 2, 3), sampling_uniform(1, 2, 4));
}

TEST(Sampling, RefusesWhatMakesNoSense) {
  const auto refusal = [](const SamplingOptions& options) {
    return data_error_of([&] { require_sampling(options, "here"); });
  };
  EXPECT_THAT(refusal({.temperature = -1}), testing::StartsWith("here: temperature is -1"));
  EXPECT_THAT(refusal({.temperature = NAN}), testing::HasSubstr("temperature"));
  EXPECT_THAT(refusal({.top_p = 0}), testing::HasSubstr("top_p is 0"));
  EXPECT_THAT(refusal({.min_p = 2}), testing::HasSubstr("min_p is 2"));
  EXPECT_THAT(refusal({.repetition_penalty = 0}), testing::HasSubstr("repetition_penalty is 0"));
}

// Ten alike: probabilities that make top_p exactly are enough, and of the tie the lowest ids stay.
TEST(Sampling, TopPCutsATieByTheLowestIds) {
  for (const auto& [top_p, kept] : {std::pair(0.3, 3), std::pair(0.55, 6), std::pair(0.7, 7)}) {
    std::vector<float> logits(10, 1.5f);
    process_logits(logits, {.temperature = 1, .top_p = top_p}, {});
    for (int i = 0; i < 10; ++i)
      EXPECT_EQ(std::isfinite(logits[static_cast<size_t>(i)]), i < kept) << top_p << " " << i;
  }
}

}  // namespace
}  // namespace preimage::lm
