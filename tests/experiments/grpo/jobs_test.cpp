// The job files that come with preimage are valid, and the full-size ones hold the plan's settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "config.hpp"
#include "job_file.hpp"
#include "probe/chain.hpp"

namespace preimage::grpo {
namespace {

const std::filesystem::path jobs = std::filesystem::path(PREIMAGE_SOURCE_DIR) / "jobs";

GrpoConfig read_job(const std::filesystem::path& path) {
  auto config = tests::config_of_job<GrpoConfig>(path, "grpo");
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

TEST(GrpoJobs, TheSweepHoldsThePlansSettings) {
  const auto config = read_job(jobs / "grpo/sweep.json");
  const auto& s = config.sweep;
  EXPECT_EQ(config.stage, "sweep");
  EXPECT_THAT(s.seeds, testing::ElementsAre(41, 42, 43));
  EXPECT_EQ(s.prompts * s.group, 258);
  // The plan's three arms are two here and the control that it lacks; each has 3 x 200 x 258.
  EXPECT_EQ(std::ssize(s.seeds) * 3 * s.steps * s.prompts * s.group, 464400);
  EXPECT_THAT(s.arms, testing::IsSupersetOf({"vanilla", "projected", "random", "advantage"}));
  EXPECT_EQ(s.schedule.lr, 7e-5);
  EXPECT_EQ(s.schedule.warmup_steps, 10);
  EXPECT_EQ(s.kl, 1e-3);
  EXPECT_EQ(s.denominator, "dr_grpo");
  EXPECT_EQ(s.adam.beta2, 0.99);
  EXPECT_EQ(s.adam.weight_decay, 0.1);
  EXPECT_EQ(s.evaluate_every, 50);
  EXPECT_TRUE(s.futility && s.cost_ceiling);
  const auto quick = read_job(jobs / "quick/grpo_sweep.json").sweep;
  EXPECT_EQ(quick.seeds.size(), 2u);
  EXPECT_THAT(quick.arms, testing::ElementsAre("vanilla", "projected", "random"));
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

TEST(GrpoConfig, ArmsAndPassesAreNamedOnce) {
  auto config = read_job(jobs / "quick/grpo.json");
  config.probe.arms = {"vanilla", "projected", "vanilla"};
  config.probe.passes = {};
  EXPECT_THAT(config.check(),
              testing::IsSupersetOf({testing::HasSubstr("\"probe.arms\": names one twice"),
                                     testing::HasSubstr("\"probe.passes\": names none")}));
}

}  // namespace
}  // namespace preimage::grpo
