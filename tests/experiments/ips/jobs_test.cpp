// The job files that come with preimage are valid, and the full-size ones hold the plan's settings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "arms/make_arm.hpp"
#include "config.hpp"
#include "job_file.hpp"
#include "preimage/base/json.hpp"

namespace preimage::ips {
namespace {

namespace fs = std::filesystem;
const fs::path root = PREIMAGE_SOURCE_DIR;

IpsConfig read_job(const fs::path& path) {
  return tests::config_of_job<IpsConfig>(path, "ips");
}

TEST(IpsJobs, FullSizeJobsHoldThePlansSettings) {
  fs::current_path(root);  // paths in jobs are the user's, from the repository root
  int jobs = 0;
  for (const auto& entry : fs::directory_iterator(root / "jobs/ips")) {
    ++jobs;
    const auto config = read_job(entry.path());
    EXPECT_EQ(config.data.most_ratio, 7) << entry.path();
    EXPECT_EQ(config.data.corridor_ratio, 10);
    EXPECT_EQ(config.ga.population, 200);
    EXPECT_EQ(config.ga.generations, 60);
    EXPECT_EQ(config.ga.stagnation, 15);
    EXPECT_EQ(config.search.calls, 5000);
    EXPECT_EQ(config.search.seeds, 5);
    EXPECT_EQ(config.rl.horizon, 50);
    EXPECT_EQ(config.negative.noise_draws, 20);
    EXPECT_GE(config.model.context, 5120);
    EXPECT_THAT(config.search.methods, testing::UnorderedElementsAreArray(arm_methods()));
    // Models are fetched; every other objection is one.
    for (const auto& error : config.check()) EXPECT_THAT(error, testing::HasSubstr(" models/"));
  }
  EXPECT_EQ(jobs, 2);
}

// 20 functions, each with a prompt by hand: H1 asks for as many.
TEST(IpsJobs, StageOneHasItsTargets) {
  const auto tokenizer = text::load_tokenizer(root / "jobs/models/pocket-coder");
  const auto targets = read_targets(root / "jobs/data/ips/functions.jsonl", tokenizer, {});
  EXPECT_EQ(targets.size(), 20u);
  std::set<int64_t> prompted;
  for (const auto& one : read_hand_prompts(root / "jobs/data/ips/functions_hand.jsonl", targets)) {
    prompted.insert(one.target);
    const auto& target = targets[static_cast<size_t>(one.target)];
    EXPECT_LE(std::ssize(tokenizer.encode(one.text)), target.most_tokens) << target.id;
  }
  EXPECT_EQ(prompted.size(), 20u);
  for (const auto& target : targets) {
    EXPECT_EQ(target.license, "PSF-2.0");
    EXPECT_EQ(std::ssize(target.ids), target.stated_tokens) << target.id;
  }
}

TEST(IpsJobs, TheQuickJobHasSixTargetsOfHeldOutKinds) {
  const auto config = read_job(root / "jobs/quick/ips.json");
  const auto tokenizer = text::load_tokenizer(root / config.model.dir);
  const auto targets =
      read_targets(root / config.data.targets, tokenizer, {.limit = config.data.limit});
  EXPECT_GE(targets.size(), 6u);
  const auto kinds = base::read_json(root / "jobs/data/functions/kinds.json");
  for (const auto& target : targets) {
    std::string kind = target.id.substr(std::string("pocket/").size());
    EXPECT_GE(target.most_tokens, 16) << target.id;
    bool held_out = false;
    for (const auto& key : kinds.at("test")) {
      auto name = key.get<std::string>();
      std::replace(name.begin(), name.end(), ':', '-');
      held_out = held_out || name == kind;
    }
    EXPECT_TRUE(held_out) << target.id;
  }
}

}  // namespace
}  // namespace preimage::ips
