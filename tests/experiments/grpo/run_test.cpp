// time limit: 240 s
// A whole probe (pools written and judged, directions, chains, nulls, verdict) gives the same
// values on any number of ranks and after a kill, and what it leaves agrees with itself.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "grpo.hpp"
#include "preimage/data/lines.hpp"
#include "preimage/sandbox/pool.hpp"
#include "report/slim.hpp"
#include "run/whole_run.hpp"

namespace preimage::grpo {
namespace {

namespace fs = std::filesystem;
using base::str;

const char* const job_text = R"({
  "method": "grpo",
  "grpo": {
    "model": {"dir": "ROOT/jobs/models/pocket-coder", "dtype": "float32"},
    "pools": {
      "problems": {"kind": "mbpp", "path": "ROOT/jobs/data/functions/problems.jsonl.gz",
                   "split": "validation", "limit": 4},
      "prompt": {"pattern": "{text}\n\n{tests}\n\n",
                 "hint_replace": "The answer is graded by calling run_tests().\n\n"},
      "grader": {"fenced": false},
      "teacher": "ROOT/jobs/models/pocket-teacher",
      "samples": 4, "max_new_tokens": 64, "temperature": 1, "top_p": 1, "batch": 8},
    "extraction": {"pairs": "ROOT/jobs/data/grpo/pairs.md#all-in-one/pair_0", "heldout": 6, "k": 2},
    "probe": {"arms": ["vanilla", "projected", "projected_lora", "projected_update"], "steps": 3,
              "lora_rank": 2, "lora_alpha": 4, "lr": 0.003, "keep_adapters": true},
    "nulls": {"draws": 10}, "bootstrap_draws": 200},
  "run": {"seed": 3, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

class GrpoRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runs_ = new tests::WholeRuns;
    auto text = std::string(job_text);
    for (size_t at = text.find("ROOT"); at != std::string::npos; at = text.find("ROOT"))
      text.replace(at, 4, PREIMAGE_SOURCE_DIR);
    std::ofstream(runs_->path("job.json")) << text;
    ASSERT_EQ(runs_->wait(runs_->start(1, "whole")), 0) << runs_->errors();
  }
  static void TearDownTestSuite() {
    delete runs_;
    runs_ = nullptr;
  }
  static std::vector<base::Json> rows(const std::string& table) {
    return tests::rows_of(runs_->path("whole"), table);
  }

  static inline tests::WholeRuns* runs_ = nullptr;
};

TEST_F(GrpoRun, ThreeRanksGiveTheSameValues) {
  const auto expected = tests::values_of(runs_->path("whole"));
  ASSERT_GE(expected.size(), 14u);
  ASSERT_EQ(runs_->wait(runs_->start(3, "ranks3")), 0) << runs_->errors();
  EXPECT_EQ(tests::values_of(runs_->path("ranks3")), expected);
}

TEST_F(GrpoRun, KilledBetweenChainsItResumesToTheSameValues) {
  const pid_t pid = runs_->start(2, "killed");
  // Six units of pools, two of directions; then the chains.
  for (int i = 0; i < 100000 && runs_->committed("killed") < 9; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  runs_->kill(pid, "killed");
  EXPECT_FALSE(fs::exists(runs_->path("killed") / "results.h5"));
  ASSERT_EQ(runs_->wait(runs_->start(1, "killed")), 0) << runs_->errors();
  EXPECT_EQ(tests::values_of(runs_->path("killed")), tests::values_of(runs_->path("whole")));
}

TEST_F(GrpoRun, SamplesAddUpToTheirStep) {
  const auto samples = rows("grpo/samples");
  for (const auto& step : rows("grpo/steps")) {
    double loss = 0, advantages = 0;
    int64_t count = 0;
    for (const auto& s : samples) {
      if (s["arm"] != step["arm"] || s["pass"] != step["pass"] || s["step"] != step["step"])
        continue;
      loss += s["loss"].get<double>(), advantages += s["adv"].get<double>();
      ++count;
    }
    EXPECT_EQ(count, 4);
    EXPECT_NEAR(loss, step["loss"].get<double>(), 1e-9);
    EXPECT_NEAR(advantages, 0, 1e-12);
    const auto cos_out = step["cos_out"].get<double>();
    if (step["arm"] == "vanilla") {
      EXPECT_TRUE(std::isnan(cos_out));
    } else if (step["skipped"] == false) {
      EXPECT_LT(cos_out, 1e-5);  // by construction
    }
    EXPECT_EQ(std::isnan(step["leak"].get<double>()),
              step["pass"] == "frozen" || step["skipped"] == true);
    // What the optimiser did, projected once more, leaks nothing.
    if (step["arm"] == "projected_update" && step["pass"] == "trained" &&
        step["skipped"] == false) {
      EXPECT_LT(step["leak"].get<double>(), 1e-3);
    }
  }
}

// At the first step all arms of a basis stand at the same weights, and the frozen pass stays there.
// (With this seed no group of the first steps has equal rewards, which would leave the weights.)
TEST_F(GrpoRun, TrainedArmsBeginWhereTheFrozenPassIs) {
  double first[2] = {0, 0}, later[2] = {0, 0};
  for (const auto& step : rows("grpo/steps")) {
    if (step["arm"] != "vanilla") continue;
    const size_t pass = step["pass"] == "frozen" ? 1 : 0;
    if (step["step"] == 0) first[pass] = step["grad_norm"].get<double>();
    if (step["step"] == 2) later[pass] = step["grad_norm"].get<double>();
  }
  EXPECT_EQ(first[0], first[1]);
  EXPECT_NE(later[0], later[1]);
}

TEST_F(GrpoRun, SlimFilesHoldTheSamples) {
  const auto samples = rows("grpo/samples");
  int64_t lines = 0;
  for (const auto& arm : fs::directory_iterator(runs_->path("whole") / "slim")) {
    for (const auto& file : fs::directory_iterator(arm.path())) {
      data::LineReader reader(file.path());
      for (std::string line; reader.next(line); ++lines) {
        const auto record = base::parse_json(line, file.path().string());
        EXPECT_EQ(record.size(), 26u);
        EXPECT_EQ(arm.path().filename().string().rfind(record["arm"].get<std::string>(), 0), 0u);
      }
    }
  }
  EXPECT_EQ(lines, static_cast<int64_t>(samples.size()));
}

// The pools that the run wrote, replayed: the same groups, the same gradients.
TEST_F(GrpoRun, StoredPoolsGiveTheSameProbe) {
  auto text = base::read_file(runs_->path("job.json"));
  const auto pools = runs_->path("whole") / "pools";
  const std::string teacher = "\"teacher\": ";
  text.insert(text.find(teacher), str("\"replay\": [\"", (pools / "teacher_pool").string(),
                                      "\", \"", (pools / "base_pool").string(), "\"], "));
  std::ofstream(runs_->path("replay.json")) << text;
  ASSERT_EQ(runs_->wait(runs_->start(1, "replay", "replay.json")), 0) << runs_->errors();
  const auto whole = tests::values_of(runs_->path("whole"));
  const auto replay = tests::values_of(runs_->path("replay"));
  for (const auto* name : {"grpo/samples", "grpo/steps", "grpo/directions", "grpo/decisions"})
    EXPECT_EQ(replay.at(name), whole.at(name)) << name;
}

// One sandbox and one set of factors serve all combinations.
TEST_F(GrpoRun, ACombinationOfASweepIsTheRunByItself) {
  auto job = base::read_json(runs_->path("job.json"));
  job["sweep"] = {{"grpo.probe.denominator", {"plan", "dr_grpo"}}};
  std::ofstream(runs_->path("sweep.json")) << job.dump();
  ASSERT_EQ(runs_->wait(runs_->start(2, "sweep", "sweep.json")), 0) << runs_->errors();
  std::vector<base::Json> plan;
  bool other = false;
  const auto whole = rows("grpo/steps");
  for (auto& row : tests::rows_of(runs_->path("sweep"), "grpo/steps")) {
    const bool mine = row["grpo.probe.denominator"] == "plan";
    row.erase("grpo.probe.denominator");
    if (mine) {
      plan.push_back(row);
    } else {
      other |= row["loss"] != whole.at(0)["loss"];
    }
  }
  ASSERT_EQ(plan.size(), whole.size());
  for (size_t i = 0; i < plan.size(); ++i) EXPECT_EQ(plan[i].dump(), whole[i].dump());
  EXPECT_TRUE(other);
}

TEST_F(GrpoRun, EveryRuleIsDecidedForEachProjectedArm) {
  std::map<std::string, int> ids;
  for (const auto& row : rows("grpo/decisions")) ++ids[row["id"].get<std::string>()];
  EXPECT_EQ(ids.size(), 13u);
  for (const auto& [id, count] : ids) EXPECT_EQ(count, 6) << id;  // three arms, two passes
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
