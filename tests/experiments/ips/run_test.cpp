// time limit: 240 s
// A whole run with the pocket coder, the sandbox and every method gives the same values on any
// number of ranks and after a kill; what it accepts holds the rules.
#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "arms/make_arm.hpp"
#include "ips.hpp"
#include "preimage/base/str.hpp"
#include "preimage/sandbox/pool.hpp"
#include "run/whole_run.hpp"
#include "sandbox/opened.hpp"

namespace preimage::ips {
namespace {

namespace fs = std::filesystem;
using base::str;

const char* const job_text = R"({
  "method": "ips",
  "ips": {
    "model": {"dir": "SOURCE/jobs/models/pocket-coder", "chat": false, "pattern": "{prompt}\n\n"},
    "data": {"targets": "HERE/targets.jsonl", "hand": "HERE/hand.jsonl", "most_ratio": 2,
      "words": "SOURCE/jobs/data/ips/pocket_words.txt",
      "templates": "SOURCE/jobs/data/ips/templates.txt",
      "synonyms": "SOURCE/jobs/data/ips/synonyms.txt"},
    "sandbox": {"level": "LEVEL", "workers": 1},
    "probes": 4,
    "search": {"methods": METHODS, "seeds": 1, "calls": 8, "successes": 2},
    "ga": {"population": 4},
    "propose": {"pattern": "{code}\n\n", "block": 4},
    "swap": {"top": 8, "candidates": 3, "steps": 2},
    "negative": {"noise_draws": 1},
    "bootstrap_draws": 200},
  "run": {"seed": 1, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

// Programs that the model writes from these very instructions.
const char* const targets_text =
    R"x({"id": "a", "language": "python", "code": "def numbers_group(numbers):\n    return sum([pow(e, 2) for e in numbers if e % 2 == 0])\n", "metadata": {"license": "Apache-2.0", "len_tokens": 32}}
{"id": "b", "language": "python", "code": "def largest_values(numbers):\n    return max((e * e for e in numbers if e % 2 == 1), default=-1)\n", "license": "Apache-2.0", "calls": ["largest_values([3, 4, 5])"]}
)x";
const char* const hand_text = R"({"target": "a", "prompt": "sum squares even numbers list"}
{"target": "a", "prompt": "squares of something"}
{"target": "b", "prompt": "sum squares even numbers list"}
{"target": "elsewhere", "prompt": "left out"}
)";

void replace_all(std::string& text, const std::string& word, const std::string& by) {
  for (size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size())
    text.replace(at, word.size(), by);
}

std::string text(const base::Json& row, const char* column) {
  return row.at(column).get<std::string>();
}
int64_t count(const base::Json& row, const char* column) {
  return row.at(column).get<int64_t>();
}
bool holds(const base::Json& row, const char* column) {
  return row.at(column).get<bool>();
}

class IpsRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runs_ = new tests::WholeRuns;
    std::ofstream(runs_->path("targets.jsonl")) << targets_text;
    std::ofstream(runs_->path("hand.jsonl")) << hand_text;
    auto text = std::string(job_text);
    replace_all(text, "SOURCE", PREIMAGE_SOURCE_DIR);
    replace_all(text, "HERE", runs_->path("").string());
    replace_all(text, "LEVEL",
                sandbox::tests::available_level() == sandbox::Level::full ? "full" : "user");
    replace_all(text, "METHODS", base::Json(arm_methods()).dump());
    std::ofstream(runs_->path("job.json")) << text;
    ASSERT_EQ(runs_->wait(runs_->start(1, "whole")), 0) << runs_->errors();
  }
  static void TearDownTestSuite() {
    delete runs_;
    runs_ = nullptr;
  }

  static inline tests::WholeRuns* runs_ = nullptr;
};

TEST_F(IpsRun, AnyNumberOfRanksAndAKillGiveTheSameValues) {
  const auto expected = tests::values_of(runs_->path("whole"));
  ASSERT_EQ(runs_->wait(runs_->start(3, "ranks3")), 0) << runs_->errors();
  EXPECT_EQ(tests::values_of(runs_->path("ranks3")), expected);

  const pid_t pid = runs_->start(2, "killed");
  const auto half = runs_->committed("whole") / 2;
  for (int i = 0; i < 3000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (fs::exists(runs_->path("killed") / "journal") && runs_->committed("killed") > half) break;
  }
  runs_->kill(pid, "killed");
  EXPECT_FALSE(fs::exists(runs_->path("killed") / "results.h5"));
  ASSERT_EQ(runs_->wait(runs_->start(1, "killed")), 0) << runs_->errors();
  EXPECT_EQ(tests::values_of(runs_->path("killed")), expected);
}

TEST_F(IpsRun, EverySearchHasItsCallsAndNoMore) {
  const auto rows = tests::rows_of(runs_->path("whole"), "ips/summary");
  ASSERT_EQ(rows.size(), 2 * arm_methods().size());
  for (const auto& row : rows) {
    EXPECT_LE(count(row, "calls_executed"), 8) << row;
    EXPECT_EQ(count(row, "calls_requested"),
              count(row, "calls_executed") + count(row, "cache_hits"));
    EXPECT_NE(text(row, "stop_rule"), "") << row;
  }
}

TEST_F(IpsRun, PromptsByHandAreJudgedAndRepeated) {
  const auto targets = tests::rows_of(runs_->path("whole"), "ips/targets");
  ASSERT_EQ(targets.size(), 2u);
  EXPECT_EQ(text(targets[0], "verdict"), "feasible");
  EXPECT_EQ(count(targets[0], "hand_prompts"), 2);
  EXPECT_GE(count(targets[0], "probes"), 3);
  EXPECT_NE(text(targets[1], "verdict"), "feasible");
  bool found = false;
  for (const auto& row : tests::rows_of(runs_->path("whole"), "ips/accepted")) {
    EXPECT_TRUE(holds(row, "repeats_equal")) << row;
    if (text(row, "method") != "manual") continue;
    found = true;
    EXPECT_EQ(text(row, "target_id"), "a");
    EXPECT_EQ(text(row, "level"), "exact");
    EXPECT_EQ(text(row, "completion"),
              "def numbers_group(numbers):\n    return sum([pow(e, 2) for e in numbers if e % 2 == "
              "0])\n");
  }
  EXPECT_TRUE(found);
}

TEST_F(IpsRun, NoNegativeTestIsAccepted) {
  std::map<std::string, int> tests;
  for (const auto& row : tests::rows_of(runs_->path("whole"), "ips/negative")) {
    EXPECT_TRUE(holds(row, "as_expected")) << row;
    EXPECT_EQ(holds(row, "accepted"), text(row, "test") == "positive") << row;
    ++tests[text(row, "test")];
  }
  for (const char* name : {"too_short", "noise", "copy", "print_target", "print_bare",
                           "wrong_target", "case", "white_space", "positive"})
    EXPECT_GT(tests[name], 0) << name;
}

}  // namespace
}  // namespace preimage::ips

// "TEST run JOB OUT" is a rank of a run with its sandbox, which starts before MPI.
int main(int argc, char** argv) {
  namespace sandbox = preimage::sandbox;
  if (argc > 3 && std::string(argv[1]) == "run") {
    auto supervisor = sandbox::start_supervisor(sandbox::tests::executable());
    const preimage::cluster::Session session(argc, argv);
    const preimage::run::JobRequest request{
        .job = argv[2], .out = argv[3], .resume = true, .sandbox = &supervisor};
    return preimage::run::run_job(
        session, request, [](const std::string&) -> std::unique_ptr<preimage::run::Experiment> {
          return std::make_unique<preimage::ips::Ips>();
        });
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
