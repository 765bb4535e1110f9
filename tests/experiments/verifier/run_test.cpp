// time limit: 120 s
// A whole run from a file of labelled programs gives the same values on any number of ranks and
// after a kill in the middle of a training.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/candidates.hpp"
#include "run/whole_run.hpp"
#include "verifier.hpp"

namespace preimage::verifier {
namespace {

namespace fs = std::filesystem;
using base::str;

const char* const job_text = R"({
  "method": "verifier",
  "verifier": {
    "data": {"candidates": "FILE"},
    "arms": {"tokenizer": "TOKENIZER", "hidden_size": 32, "layers": 1, "heads": 2,
      "max_tokens": 64},
    "training_seeds": 2,
    "train": {"epochs": 12, "batch_pairs": 24, "lr": 0.003, "warmup_steps": 4, "evaluate_every": 4,
      "patience": 0, "checkpoint_interval_s": 0},
    "bootstrap_draws": 500},
  "run": {"seed": 1, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

// Programs that pass when they add and fail when they subtract.
void write_programs(const fs::path& path) {
  const base::RandomStream random(3, "programs", "run test");
  data::CandidateWriter writer(path);
  uint64_t at = 0;
  for (int64_t p = 0; p < 24; ++p) {
    for (int64_t i = 0; i < 5; ++i) {
      data::Candidate line;
      line.prompt = str("Combine the numbers of task ", p);
      line.pass = i % 2 == 0;
      line.code = str("def f(a):\n    return a ", line.pass ? "+" : "-", " ",
                      random.below(1000, at++), "\n");
      line.problem = str("p", p);
      line.index = i;
      writer.write(line);
    }
  }
  writer.sync();
}

class VerifierRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runs_ = new tests::WholeRuns;
    write_programs(runs_->path("programs.jsonl"));
    auto text = std::string(job_text);
    text.replace(text.find("FILE"), 4, runs_->path("programs.jsonl").string());
    text.replace(text.find("TOKENIZER"), 9,
                 std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder");
    std::ofstream(runs_->path("job.json")) << text;
    ASSERT_EQ(runs_->wait(runs_->start(1, "whole")), 0) << runs_->errors();
  }
  static void TearDownTestSuite() {
    delete runs_;
    runs_ = nullptr;
  }

  static inline tests::WholeRuns* runs_ = nullptr;
};

TEST_F(VerifierRun, AnyNumberOfRanksGivesTheSameValues) {
  const auto expected = tests::values_of(runs_->path("whole"));
  ASSERT_GE(expected.size(), 7u);
  for (const int ranks : {2, 3}) {
    const auto out = str("ranks", ranks);
    ASSERT_EQ(runs_->wait(runs_->start(ranks, out)), 0) << runs_->errors();
    EXPECT_EQ(tests::values_of(runs_->path(out)), expected) << ranks;
  }
}

TEST_F(VerifierRun, KilledInATrainingItResumesToTheSameValues) {
  const pid_t pid = runs_->start(2, "killed");
  const auto state = runs_->path("killed") / "training" / "ouroboros-margin-0.safetensors";
  for (int i = 0; i < 10000 && !fs::exists(state); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  runs_->kill(pid, "killed");
  EXPECT_FALSE(fs::exists(runs_->path("killed") / "results.h5"));
  ASSERT_EQ(runs_->wait(runs_->start(1, "killed")), 0) << runs_->errors();
  EXPECT_EQ(tests::values_of(runs_->path("killed")), tests::values_of(runs_->path("whole")));
}

}  // namespace
}  // namespace preimage::verifier

int main(int argc, char** argv) {
  return preimage::tests::whole_run_main<preimage::verifier::Verifier>(argc, argv, "verifier");
}
