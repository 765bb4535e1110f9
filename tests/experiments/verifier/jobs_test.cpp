// The job files that come with preimage are valid, and the full-size ones hold the plan's settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <numeric>

#include "arms/ouroboros.hpp"
#include "config.hpp"
#include "job_file.hpp"

namespace preimage::verifier {
namespace {

const std::filesystem::path jobs = std::filesystem::path(PREIMAGE_SOURCE_DIR) / "jobs";

VerifierConfig read_job(const std::filesystem::path& path) {
  auto config = tests::config_of_job<VerifierConfig>(path, "verifier");
  // Models and data of full-size jobs are fetched; every other objection is one.
  for (const auto& error : config.check()) {
    EXPECT_THAT(error, testing::AnyOf(testing::HasSubstr("found no file"),
                                      testing::HasSubstr("holds no tokenizer")));
  }
  return config;
}

TEST(VerifierJobs, FullSizeJobsHoldThePlansSettingsAndCoverEveryArm) {
  std::map<std::string, int> arms;
  for (const auto& entry : std::filesystem::directory_iterator(jobs / "verifier")) {
    const auto config = read_job(entry.path());
    EXPECT_EQ(config.generation.test_candidates, 16) << entry.path();
    EXPECT_EQ(config.generation.train_candidates, 100) << entry.path();
    EXPECT_EQ(config.generation.temperature, 1) << entry.path();
    EXPECT_EQ(config.training_seeds, 3) << entry.path();
    EXPECT_EQ(config.train.epochs, 10) << entry.path();
    for (const auto& kind : config.arms.kinds) ++arms[kind];
  }
  EXPECT_THAT(arms, testing::UnorderedElementsAre(testing::Pair("generator", 3),
                                                  testing::Pair("likelihood", 1),
                                                  testing::Pair("ouroboros", 1)));
}

// The model of the plan has GPT-2's vocabulary of 50,257, whatever the generator reads.
TEST(VerifierJobs, OuroborosIsThePlansModel) {
  const auto config = read_job(jobs / "verifier/mbpp_ouroboros.json");
  EXPECT_EQ(config.tokenizer_folder(), "models/openai-community/gpt2");
  int64_t parameters = 0;
  for (const auto& [name, shape] : ouroboros_tensors({.vocab_size = 50257,
                                   .hidden_size = config.arms.hidden_size,
                                   .layers = config.arms.layers,
                                   .heads = config.arms.heads}))
    parameters += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  EXPECT_EQ(parameters, 63'637'505);
}

}  // namespace
}  // namespace preimage::verifier
