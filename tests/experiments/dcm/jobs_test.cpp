// The job files that come with preimage are valid, and the full-size ones hold the plan's settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "config.hpp"
#include "job_file.hpp"

namespace preimage::dcm {
namespace {

const std::filesystem::path jobs = std::filesystem::path(PREIMAGE_SOURCE_DIR) / "jobs";

DcmConfig read_job(const std::filesystem::path& path) {
  auto config = tests::config_of_job<DcmConfig>(path, "dcm");
  EXPECT_THAT(config.check(), testing::IsEmpty()) << path;
  return config;
}

TEST(DcmJobs, FullSizeJobsHoldThePlansSettings) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(jobs / "dcm")) {
    if (entry.path().extension() != ".json") continue;
    ++count;
    const auto config = read_job(entry.path());
    EXPECT_EQ(config.k, 32) << entry.path();
    EXPECT_EQ(config.restarts, 5) << entry.path();
    EXPECT_EQ(config.schedule.steps, 500) << entry.path();
    EXPECT_EQ(config.schedule.lr, 0.01) << entry.path();
    EXPECT_EQ(config.schedule.kind, "cosine") << entry.path();
    EXPECT_EQ(config.data.seed, 42) << entry.path();
    EXPECT_EQ(config.templates.answer_from_question, "Question: {question}\nAnswer: ");
    EXPECT_EQ(config.data.count, config.data.kind == "sudoku" ? 20 : 100) << entry.path();
  }
  EXPECT_EQ(count, 7);
}

TEST(DcmJobs, KSweepHoldsThePlansRange) {
  EXPECT_THAT(read_job(jobs / "dcm/ksweep.json").k_sweep,
              testing::ElementsAre(4, 8, 16, 32, 64, 128));
}

TEST(DcmJobs, QuickIsSixteenPairsOfThePocketModel) {
  const auto config = read_job(jobs / "quick/dcm.json");
  EXPECT_EQ(config.data.count, 16);
  EXPECT_EQ(config.k, 8);
  EXPECT_EQ(config.stop, "tight");
  EXPECT_EQ(config.restart_policy, "failures");
  EXPECT_THAT(config.k_sweep, testing::ElementsAre(1, 2, 4, 8));
  EXPECT_EQ(config.k_sweep_pairs, 4);
  EXPECT_TRUE(std::filesystem::exists(jobs.parent_path() / config.data.path));
}

}  // namespace
}  // namespace preimage::dcm
