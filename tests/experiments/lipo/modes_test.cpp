// time limit: 180 s
// Each of jobs/lipo at pocket scale: the modes' own paths and their input files, stopped in the
// middle, resumed on another number of ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "lipo.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "run/whole_run.hpp"

namespace preimage::lipo {
namespace {

namespace fs = std::filesystem;
using base::str;

const fs::path root = PREIMAGE_SOURCE_DIR;

// What makes a job of the published models one of the pocket models.
const char* const pocket = R"({
  "lipo": {
    "model": "ROOT/jobs/models/pocket-coder", "adapter": "ROOT/jobs/models/pocket-instructions",
    "dtype": "float32", "chat": false, "max_new_tokens": 3, "block": 8,
    "items": {"path": "ROOT/jobs/data/lipo/items.jsonl", "test_path": "", "examples": 8, "validation": 16, "test": 16},
    "ape_backend": "file", "ape_num_instructions": 12,
    "ape_cache_path": "ROOT/jobs/data/lipo/ape_instructions.json",
    "embedder": "ROOT/jobs/models/pocket-sentence", "vec2text_model": "ROOT/jobs/models/pocket-inverter",
    "vec2text_beam": 2, "vec2text_max_length": 12, "embedding_dim": 0,
    "latent_dim": 3, "vae_encoder_dims": [8], "vae_decoder_dims": [8], "vae_epochs": 6,
    "vae_annealing_epochs": 2, "bmin": 4, "gp_epochs": 10, "hyperband_gp_epochs": 5,
    "gp_retrain_epochs": 5, "gp_hidden_dim": 4, "gp_latent_dim": 2, "raw_samples": 16,
    "num_restarts": 2, "acquisition_max_iterations": 5, "inversion_n_steps": 5, "iterations": 2,
    "arms": ["hyperband", "latent"]},
  "run": {"seed": 1, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

class LipoModes : public testing::TestWithParam<const char*> {
 protected:
  static std::string rooted(const std::string& path) { return (root / path).string(); }

  void SetUp() override {
    auto job = base::read_json(root / str("jobs/lipo/", GetParam(), ".json"));
    auto text = std::string(pocket);
    for (size_t at = 0; (at = text.find("ROOT", at)) != std::string::npos;)
      text.replace(at, 4, root.string());
    job.merge_patch(base::Json::parse(text));
    auto& lipo = job["lipo"];
    if (job["lipo"]["mode"] == "debug") lipo["vae_epochs"] = 150;  // cut to 100
    // The files' errors are of 64 items.
    if (lipo.contains("grid_path") || lipo.contains("hyperband_evals_path"))
      lipo["items"]["validation"] = 64;
    if (lipo.contains("grid_path")) {
      lipo["grid_path"] = rooted("jobs/data/lipo/full_grid_combined.jsonl");
      lipo["top_k"] = 4;
    }
    if (lipo.contains("hyperband_evals_path"))
      lipo["hyperband_evals_path"] = rooted("jobs/data/lipo/hyperband_evaluations.json");
    std::ofstream(runs_.path("job.json")) << job.dump();
    ASSERT_EQ(runs_.wait(runs_.start(1, "whole")), 0) << runs_.errors();
  }
  std::vector<base::Json> rows(const char* table) const {
    return tests::rows_of(runs_.path("whole"), table);
  }

  tests::WholeRuns runs_;
};

TEST_P(LipoModes, RunsTheSameOnThreeRanksAndAfterAStop) {
  const pid_t pid = runs_.start(3, "stopped");
  for (int i = 0; i < 20000 && !fs::exists(runs_.path("stopped") / "results.h5"); ++i) {
    if (fs::exists(runs_.path("stopped") / "journal") && runs_.committed("stopped") >= 3) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  runs_.kill(pid, "stopped");
  EXPECT_FALSE(fs::exists(runs_.path("stopped") / "results.h5"));
  ASSERT_EQ(runs_.wait(runs_.start(2, "stopped")), 0) << runs_.errors();
  EXPECT_EQ(tests::values_of(runs_.path("stopped")), tests::values_of(runs_.path("whole")));

  const std::string mode = GetParam();
  const bool ladder = mode != "grid" && mode != "skip_hyperband";
  const bool searches = mode != "hyperband_only";
  const auto pool = rows("lipo/instructions");
  EXPECT_EQ(pool.size(), mode == "grid" ? 4u : mode == "skip_hyperband" ? 5u : 12u);
  const auto arms = rows("lipo/arms");
  ASSERT_EQ(arms.size(), searches ? 3u : 1u);
  EXPECT_EQ(arms[0]["arm"], "hyperband_best");
  EXPECT_EQ(arms[0]["calls"].get<int64_t>() > 0, ladder);
  if (!ladder) {
    // The best of the file, by what the file says.
    EXPECT_EQ(arms[0]["text"], "Find the top value under seven in the row.");
    EXPECT_EQ(arms[0]["validation_error"], 0.296875);
  }
  for (size_t i = 1; i < arms.size(); ++i) {
    // The pool of a file is small: its own arm may come to its end.
    if (arms[i]["arm"] == "hyperband" && arms[i]["end"] == "no_new_text") continue;
    EXPECT_EQ(arms[i]["end"], "budget") << arms[i];
    EXPECT_EQ(arms[i]["own_calls"], ladder ? 32 : 128);
  }
  const auto epochs = rows("lipo/vae_quality").at(0)["epochs"].get<int64_t>();
  EXPECT_EQ(epochs, mode == "debug" ? 100 : 6);
  const auto result = base::read_json(runs_.path("whole") / "result.json");
  EXPECT_EQ(result.contains("inference"), searches);
  EXPECT_EQ(fs::exists(runs_.path("whole") / "ape_instructions.json"), ladder);
}

INSTANTIATE_TEST_SUITE_P(Jobs, LipoModes,
                         testing::Values("standard", "skip_hyperband", "grid", "debug",
                                         "hyperband_only"),
                         [](const auto& mode) { return std::string(mode.param); });

}  // namespace
}  // namespace preimage::lipo

int main(int argc, char** argv) {
  return preimage::tests::whole_run_main<preimage::lipo::Lipo>(argc, argv, "lipo");
}
