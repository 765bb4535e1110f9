// time limit: 120 s
// A whole run on the pocket models, written by the model itself, gives the same values on any
// number of ranks and after a kill; its call counts agree with what it evaluated.
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

const char* const job_text = R"({
  "method": "lipo",
  "lipo": {
    "model": "SOURCE/jobs/models/pocket-coder", "adapter": "SOURCE/jobs/models/pocket-instructions",
    "max_new_tokens": 3, "block": 4,
    "items": {"path": "SOURCE/jobs/data/lipo/items.jsonl", "examples": 8, "validation": 8, "test": 8},
    "ape_backend": "BACKEND", "ape_num_instructions": 15, "ape_max_tokens": 8, "ape_batch_size": 4,
    "ape_max_batches": 2, "ape_styles": "SOURCE/jobs/lipo/ape_styles.json",
    "ape_cache_path": "CACHE",
    "embedder": "SOURCE/jobs/models/pocket-sentence", "vec2text_model": "SOURCE/jobs/models/pocket-inverter",
    "vec2text_beam": 2, "vec2text_max_length": 12,
    "latent_dim": 3, "vae_encoder_dims": [8], "vae_decoder_dims": [8], "vae_epochs": 6,
    "vae_annealing_epochs": 2, "bmin": 2, "gp_epochs": 10, "hyperband_gp_epochs": 5,
    "gp_retrain_epochs": 5, "gp_hidden_dim": 4, "gp_latent_dim": 2, "raw_samples": 16,
    "num_restarts": 2, "acquisition_max_iterations": 5, "inversion_n_steps": 5, "iterations": 2,
    "arms": ["hyperband", "random_latent", "plan_sign", "raw_embedding", "cowboys", "capo", "latent"],
    "cowboys": {"chains": 2, "steps": 2}, "capo": {"population": 3, "offspring": 2, "stages": 2}},
  "run": {"seed": 1, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

class LipoRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runs_ = new tests::WholeRuns;
    auto text = replaced(job_text, "SOURCE", PREIMAGE_SOURCE_DIR);
    text = replaced(replaced(text, "BACKEND", "engine"), "CACHE", "");
    std::ofstream(runs_->path("job.json")) << text;
    ASSERT_EQ(runs_->wait(runs_->start(1, "whole")), 0) << runs_->errors();
  }
  static void TearDownTestSuite() {
    delete runs_;
    runs_ = nullptr;
  }

  static inline tests::WholeRuns* runs_ = nullptr;
};

TEST_F(LipoRun, AnyNumberOfRanksGivesTheSameValues) {
  const auto expected = tests::values_of(runs_->path("whole"));
  ASSERT_GE(expected.size(), 15u);
  for (const int ranks : {2, 3}) {
    const auto out = str("ranks", ranks);
    ASSERT_EQ(runs_->wait(runs_->start(ranks, out)), 0) << runs_->errors();
    EXPECT_EQ(tests::values_of(runs_->path(out)), expected) << ranks;
  }
}

TEST_F(LipoRun, KilledItResumesToTheSameValues) {
  const pid_t pid = runs_->start(2, "killed");
  for (int i = 0; i < 10000 && !fs::exists(runs_->path("killed") / "ape_instructions.json"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  runs_->kill(pid, "killed");
  EXPECT_FALSE(fs::exists(runs_->path("killed") / "results.h5"));
  ASSERT_EQ(runs_->wait(runs_->start(1, "killed")), 0) << runs_->errors();
  EXPECT_EQ(tests::values_of(runs_->path("killed")), tests::values_of(runs_->path("whole")));
}

TEST_F(LipoRun, WritesThePlansResultAndTheInstructions) {
  const auto result = base::read_json(runs_->path("whole") / "result.json");
  for (const char* key : {"timestamp", "vae_quality_metrics", "config", "vae_training", "hyperband",
                          "inference", "total_llm_calls"})
    EXPECT_TRUE(result.contains(key)) << key;
  EXPECT_GT(result["hyperband"]["llm_calls"].get<int64_t>(), 0);
  EXPECT_EQ(result["total_llm_calls"].get<int64_t>(),
            result["hyperband"]["llm_calls"].get<int64_t>() +
                result["inference"]["llm_calls"].get<int64_t>());
  EXPECT_LE(result["inference"]["best_error"].get<double>(),
            result["hyperband"]["best_error"].get<double>());
  const auto written = read_instructions(runs_->path("whole") / "ape_instructions.json");
  EXPECT_GE(written.instructions.size(), 4u);
  EXPECT_GE(written.calls, 20);
}

}  // namespace
}  // namespace preimage::lipo

int main(int argc, char** argv) {
  return preimage::tests::whole_run_main<preimage::lipo::Lipo>(argc, argv, "lipo");
}
