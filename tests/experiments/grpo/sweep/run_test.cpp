// time limit: 420 s
// A whole sweep gives the same values on one rank and on three, and after a kill in the middle of
// its runs.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "grpo.hpp"
#include "preimage/sandbox/pool.hpp"
#include "run/whole_run.hpp"

namespace preimage::grpo {
namespace {

namespace fs = std::filesystem;

const char* const job_text = R"({
  "method": "grpo",
  "grpo": {
    "stage": "sweep",
    "model": {"dir": "ROOT/jobs/models/pocket-coder", "dtype": "float32"},
    "pools": {
      "problems": {"kind": "mbpp", "path": "ROOT/jobs/data/functions/problems.jsonl.gz",
                   "split": "validation", "limit": 3},
      "prompt": {"pattern": "{text}\n\n{tests}\n\n",
                 "hint_replace": "The answer is graded by calling run_tests().\n\n"},
      "grader": {"fenced": false}},
    "test": {"kind": "mbpp", "path": "ROOT/jobs/data/functions/problems.jsonl.gz",
             "split": "validation", "skip": 80, "limit": 1},
    "extraction": {"pairs": "ROOT/jobs/data/grpo/pairs.md#all-in-one/pair_0", "heldout": 6, "k": 2},
    "sweep": {"start": "ROOT/jobs/models/pocket-teacher", "start_strength": 0.7,
              "adapter": {"kind": "lora", "rank": 2, "targets": ["o_proj", "down_proj"],
                          "train_a": false},
              "seeds": [5, 6], "arms": ["vanilla", "projected", "advantage"], "steps": 2,
              "prompts": 1, "group": 4, "max_new_tokens": 40, "temperature": 1, "top_p": 1,
              "schedule": {"kind": "constant", "lr": 0.02}, "evaluate_samples": 1,
              "checkpoint_interval_s": 0, "hopeless_step": 0, "futility": false,
              "cost_ceiling": false}},
  "run": {"seed": 7, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

// The job with ROOT, and further words, replaced.
std::string job_with(const std::vector<std::pair<std::string, std::string>>& replaced) {
  auto text = std::string(job_text);
  auto all = replaced;
  all.emplace_back("ROOT", PREIMAGE_SOURCE_DIR);
  for (const auto& [word, by] : all) {
    EXPECT_NE(text.find(word), std::string::npos) << word;
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + by.size()))
      text.replace(at, word.size(), by);
  }
  return text;
}

// Two runs for three ranks: one is shared by two of them, who write and differentiate half of its
// prompts each; and what two ranks began alone, three go on with together.
TEST(SweepRun, RanksThatShareARunChangeNothing) {
  tests::WholeRuns runs;
  std::ofstream(runs.path("job.json")) << job_with(
      {{"[5, 6]", "[5]"}, {", \"advantage\"]", "]"}, {"\"prompts\": 1", "\"prompts\": 3"}});
  ASSERT_EQ(runs.wait(runs.start(1, "alone")), 0) << runs.errors();
  const auto expected = tests::values_of(runs.path("alone"));
  ASSERT_EQ(runs.wait(runs.start(3, "shared")), 0) << runs.errors();
  EXPECT_EQ(tests::values_of(runs.path("shared")), expected);
  const pid_t pid = runs.start(3, "killed");
  const auto state = runs.path("killed") / "runs" / "vanilla-5.safetensors";
  for (int i = 0; i < 20000 && !fs::exists(state); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  runs.kill(pid, "killed");
  EXPECT_FALSE(fs::exists(runs.path("killed") / "results.h5"));
  ASSERT_EQ(runs.wait(runs.start(2, "killed")), 0) << runs.errors();
  EXPECT_EQ(tests::values_of(runs.path("killed")), expected);
}

TEST(SweepRun, RanksAndAKillChangeNothing) {
  tests::WholeRuns runs;
  std::ofstream(runs.path("job.json")) << job_with({});
  ASSERT_EQ(runs.wait(runs.start(1, "whole")), 0) << runs.errors();
  const auto expected = tests::values_of(runs.path("whole"));
  EXPECT_EQ(tests::rows_of(runs.path("whole"), "grpo/sweep_steps").size(), 12u);
  EXPECT_EQ(tests::rows_of(runs.path("whole"), "grpo/sweep_runs").size(), 6u);
  // Before the first update and behind the last, with hint and without.
  EXPECT_EQ(tests::rows_of(runs.path("whole"), "grpo/sweep_evaluations").size(), 24u);
  const pid_t pid = runs.start(2, "killed");
  for (int i = 0; i < 100000 && runs.committed("killed") < 2; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  runs.kill(pid, "killed");
  EXPECT_FALSE(fs::exists(runs.path("killed") / "results.h5"));
  ASSERT_EQ(runs.wait(runs.start(3, "killed")), 0) << runs.errors();
  EXPECT_EQ(tests::values_of(runs.path("killed")), expected);
}

}  // namespace
}  // namespace preimage::grpo

// "TEST run JOB OUT" runs the job with a sandbox, which starts before MPI.
int main(int argc, char** argv) {
  using namespace preimage;
  if (argc > 3 && std::string(argv[1]) == "run") {
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    auto supervisor = sandbox::start_supervisor(here.parent_path() / "preimage-sandbox");
    const cluster::Session session(argc, argv);
    const run::JobRequest request{
        .job = argv[2], .out = argv[3], .resume = true, .sandbox = &supervisor};
    return run::run_job(session, request,
                        [](const std::string& method) -> std::unique_ptr<run::Experiment> {
                          if (method != "grpo") return nullptr;
                          return std::make_unique<grpo::Grpo>();
                        });
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
