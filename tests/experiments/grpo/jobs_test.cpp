// The job files that come with preimage are valid, and the full-size ones hold the plan's settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "config.hpp"
#include "preimage/base/json.hpp"
#include "probe/chain.hpp"

namespace preimage::grpo {
namespace {

const std::filesystem::path jobs = std::filesystem::path(PREIMAGE_SOURCE_DIR) / "jobs";

GrpoConfig read_job(const std::filesystem::path& path) {
  auto job = base::read_json(path);
  EXPECT_EQ(job.value("method", ""), "grpo") << path;
  GrpoConfig config;
  auto fields = base::fields_of(config);
  EXPECT_THAT(base::read_fields(fields, job["grpo"], path.string()), testing::IsEmpty());
  // Models and data of full-size jobs are fetched; every other objection is one.
  for (const auto& error : config.check()) {
    EXPECT_THAT(error, testing::AnyOf(testing::HasSubstr("found no file"),
                                      testing::HasSubstr("found no folder"),
                                      testing::HasSubstr("holds no tokenizer")));
  }
  return config;
}

TEST(GrpoJobs, TheProbeHoldsThePlansSettings) {
  const auto config = read_job(jobs / "grpo/probe.json");
  EXPECT_EQ(config.probe.steps, 20);
  EXPECT_EQ(config.pools.samples, 8);
  EXPECT_EQ(config.pools.max_new_tokens, 1536);
  EXPECT_EQ(config.pools.problems.max_prompt_tokens, 1536);
  EXPECT_EQ(config.pools.replay.size(), 2u);
  EXPECT_EQ(config.probe.lr, 7e-5);
  EXPECT_EQ(config.probe.lora_rank, 32);
  EXPECT_EQ(config.probe.lora_alpha, 32);
  EXPECT_EQ(config.probe.adam.beta2, 0.99);
  EXPECT_EQ(config.probe.adam.weight_decay, 0.1);
  EXPECT_EQ(config.probe.adam.clip, 1);
  EXPECT_EQ(config.extraction.axes.noise_quantile, 0.25);
  EXPECT_EQ(config.nulls.draws, 100);
  EXPECT_THAT(config.probe.arms, testing::IsSupersetOf({"vanilla", "projected", "projected_lora"}));
  EXPECT_THAT(config.probe.passes, testing::UnorderedElementsAre("trained", "frozen"));
  const auto first = read_job(jobs / "grpo/probe_phase1.json");
  EXPECT_EQ(first.probe.loss, "nll");
  EXPECT_EQ(first.pools.replay.size(), 1u);
}

TEST(GrpoJobs, AFrozenPassIsOneChainForEachBasis) {
  const auto keys = chain_keys(read_job(jobs / "quick/grpo.json").probe);
  ASSERT_EQ(keys.size(), 5u);  // three trained arms, two bases
  EXPECT_EQ(keys[3].basis, "svd");
  EXPECT_THAT(keys[3].arms, testing::ElementsAre("vanilla", "projected"));
  EXPECT_THAT(keys[4].arms, testing::ElementsAre("projected_lora"));
}

TEST(GrpoConfig, OnePoolAloneHasNoAdvantages) {
  auto config = read_job(jobs / "grpo/probe_phase1.json");
  config.probe.loss = "grpo";
  EXPECT_THAT(config.check(), testing::Contains(testing::HasSubstr("no reward variance")));
}

}  // namespace
}  // namespace preimage::grpo
