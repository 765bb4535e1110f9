// The job files that come with preimage are valid and hold the plan's settings; the examples of
// their input files read as their page says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "config.hpp"
#include "job_file.hpp"
#include "task/instructions.hpp"

namespace preimage::lipo {
namespace {

namespace fs = std::filesystem;
const fs::path root = PREIMAGE_SOURCE_DIR;

LipoConfig read_job(const fs::path& path) {
  return tests::config_of_job<LipoConfig>(path, "lipo");
}

TEST(LipoJobs, FullSizeJobsHoldThePlansSettings) {
  fs::current_path(root);  // paths in jobs are the user's, from the repository root
  std::set<std::string> modes;
  for (const auto& entry : fs::directory_iterator(root / "jobs/lipo")) {
    if (entry.path().filename() == "ape_styles.json") continue;
    const auto c = read_job(entry.path());
    modes.insert(c.mode);
    EXPECT_EQ(entry.path().stem(), c.mode);
    EXPECT_EQ(c.vae.beta, 0.003) << entry.path();
    EXPECT_EQ(c.vae.epochs, 10000);
    EXPECT_EQ(c.vae.annealing_epochs, 500);
    EXPECT_EQ(c.vae.patience, 500);
    EXPECT_EQ(c.vae.lr, 3e-4);
    EXPECT_EQ(c.vae.batch_size, 64);
    EXPECT_EQ(c.vae.latent_dim, 64);
    EXPECT_EQ(c.vae.eta_min, 1e-4);
    EXPECT_EQ(c.vae.grad_clip, 1);
    EXPECT_EQ(c.vae.stopping, "held_out");  // the corrected reading
    EXPECT_EQ(c.embedding_dim, 768);
    EXPECT_EQ(c.hyperband.min_items, 10);
    EXPECT_EQ(c.hyperband.eta, 2);
    EXPECT_EQ(c.hyperband.levels, "exact");
    EXPECT_EQ(c.hyperband.proposals, "paper");
    EXPECT_EQ(c.hyperband.random_interleaving, 0.1);
    EXPECT_EQ(c.gp.features, 10);
    EXPECT_EQ(c.gp.epochs, 10000);
    EXPECT_EQ(c.gp.patience, 100);
    EXPECT_EQ(c.gp.lr, 0.01);
    EXPECT_EQ(c.hyperband_gp_epochs, 3000);
    EXPECT_EQ(c.retrain_epochs, 500);
    EXPECT_EQ(c.retrain_lr, 0.001);
    EXPECT_EQ(c.acquisition.restarts, 64);
    EXPECT_EQ(c.acquisition.raw_samples, 1024);
    EXPECT_EQ(c.acquisition.refinements, 8);
    EXPECT_EQ(c.acquisition.margin, 0.2);
    EXPECT_EQ(c.inversion.gate, "align");
    EXPECT_EQ(c.inversion.max_iterations, 3);
    EXPECT_EQ(c.inversion.steps, 100);
    EXPECT_EQ(c.target.max_new_tokens, 512);
    EXPECT_EQ(c.inverter.beam, 8);
    if (c.mode != "debug") {
      EXPECT_EQ(c.items.validation, 1319);
      EXPECT_EQ(c.ape.num_instructions, 1000);
    }
    // Models and data are fetched; every other objection is one.
    for (const auto& error : c.check())
      EXPECT_THAT(error,
                  testing::AnyOf(testing::HasSubstr("models/"), testing::HasSubstr("data/")));
  }
  EXPECT_THAT(
      modes, testing::ElementsAre("debug", "grid", "hyperband_only", "skip_hyperband", "standard"));
}

TEST(LipoJobs, TheQuickJobComparesArmsOverSeeds) {
  fs::current_path(root);
  const auto c = read_job(root / "jobs/quick/lipo.json");
  EXPECT_THAT(c.check(), testing::IsEmpty());
  EXPECT_GE(c.arm_seeds, 3);
  EXPECT_THAT(c.arms, testing::IsSupersetOf({"hyperband", "random_latent", "plan_sign", "latent"}));
  EXPECT_TRUE(c.inversion.refuse_known);
}

// jobs/data/lipo/README.md lists the fields.
TEST(LipoJobs, ExamplesOfTheInputFilesAreRead) {
  const auto data = root / "jobs/data/lipo";
  const auto grid = read_evaluations(data / "full_grid_combined.jsonl", 128);
  const auto evaluations = read_evaluations(data / "hyperband_evaluations.json", 128);
  ASSERT_EQ(grid.size(), evaluations.size());
  ASSERT_GE(grid.size(), 5u);
  for (size_t i = 0; i < grid.size(); ++i) {
    EXPECT_EQ(grid[i].text, evaluations[i].text);
    EXPECT_EQ(grid[i].error(), evaluations[i].error());
    EXPECT_EQ(grid[i].items, 64);
    EXPECT_EQ(evaluations[i].items, i == 4 ? 32 : 64);
  }
  EXPECT_EQ(grid[0].text, "Biggest number that is even.");
  EXPECT_EQ(grid[0].wrong, 39);  // 0.609375 of 64
  EXPECT_EQ(evaluations[0].style, "minimalist");
  const auto pool = read_instructions(data / "ape_instructions.json");
  EXPECT_EQ(pool.instructions.size(), 200u);
  std::map<std::string, int> styles;
  for (const auto& one : pool.instructions) ++styles[one.style];
  for (const auto& [style, count] : styles) EXPECT_EQ(count, 40) << style;
}

}  // namespace
}  // namespace preimage::lipo
