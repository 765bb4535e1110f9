// time limit: 240 s
// A whole dcm run on pocket-lm: what results.h5 holds against the model itself, and the same values
// on any number of ranks and after a kill.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <thread>

#include "dcm.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/store/inspect.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "run/whole_run.hpp"

namespace preimage::dcm {
namespace {

namespace fs = std::filesystem;
using base::str;

const fs::path source = PREIMAGE_SOURCE_DIR;

const char* const job_text = R"({
  "method": "dcm",
  "dcm": {
    "model": {"dir": "MODEL"},
    "data": {"kind": "squad", "path": "DATA", "count": 3, "max_question_tokens": 14,
      "max_answer_tokens": 6},
    "stages": ["single", "joint", "spot", "ksweep"], "k": 4, "restarts": 3,
    "keep_restart_embeddings": true, "stop": "tight", "schedule": {"lr": 0.05, "steps": 60},
    "baseline_draws": 2, "gates": {"g2_pairs": 2, "g3_pairs": 3},
    "k_sweep": [1, 4], "k_sweep_pairs": 2, "k_sweep_reference": 4,
    "templates": {"answer_from_question": "Question: {question}\nAnswer: ",
      "question_from_answer": "Answer: {answer}\nQuestion: ",
      "answer_from_passage": "Passage: {passage}\nQuestion: {question}\nAnswer: "}},
  "run": {"seed": 1, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

class DcmRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runs_ = new tests::WholeRuns;
    auto text = std::string(job_text);
    text.replace(text.find("MODEL"), 5, (source / "jobs/models/pocket-lm").string());
    text.replace(text.find("DATA"), 4, (source / "jobs/data/squad_sample.json").string());
    std::ofstream(runs_->path("job.json")) << text;
    // Once, by one rank without mpirun.
    ASSERT_EQ(runs_->wait(runs_->start(1, "whole")), 0) << runs_->errors();
    text.replace(text.find("\"threads\": 1"), 12, "\"threads\": 4");
    std::ofstream(runs_->path("four_threads.json")) << text;
  }
  static void TearDownTestSuite() {
    delete runs_;
    runs_ = nullptr;
  }

  static inline tests::WholeRuns* runs_ = nullptr;
};

TEST_F(DcmRun, AnyNumberOfRanksGivesTheSameValues) {
  const auto expected = tests::values_of(runs_->path("whole"));
  ASSERT_GE(expected.size(), 12u);
  for (const int ranks : {2, 3}) {
    const auto out = str("ranks", ranks);
    ASSERT_EQ(runs_->wait(runs_->start(ranks, out)), 0) << runs_->errors();
    const auto values = tests::values_of(runs_->path(out));
    ASSERT_EQ(values.size(), expected.size());
    for (const auto& [name, text] : expected)
      EXPECT_EQ(values.at(name), text) << name << ", " << ranks;
  }
}

// With four threads a batch has room for restarts before it is known whether they are needed.
TEST_F(DcmRun, RestartsStartedEarlyLeaveNoTrace) {
  ASSERT_EQ(runs_->wait(runs_->start(1, "early", "four_threads.json")), 0) << runs_->errors();
  const auto expected = tests::values_of(runs_->path("whole"));
  const auto values = tests::values_of(runs_->path("early"));
  for (const auto& [name, text] : expected) {
    // The job's own text names its threads.
    if (name.rfind("dcm/", 0) == 0) {
      EXPECT_EQ(values.at(name), text) << name;
    }
  }
  size_t several = 0;
  for (const auto& row : tests::rows_of(runs_->path("whole"), "dcm/restarts"))
    several += row["restart"] == 2;
  EXPECT_GE(several, 1u) << "no unit needed a third start: the comparison shows nothing";
}

TEST_F(DcmRun, KilledInTheMiddleItResumesToTheSameValues) {
  const auto expected = tests::values_of(runs_->path("whole"));
  const size_t all = runs_->committed("whole");
  for (const int ranks : {1, 2}) {
    const auto out = str("killed", ranks);
    const pid_t pid = runs_->start(ranks, out);
    // In stage joint: baselines (3) and single (3) are behind it, not all of the rest.
    for (int i = 0; i < 10000 && runs_->committed(out) < 6; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
    runs_->kill(pid, out);
    EXPECT_GE(runs_->committed(out), 6u) << runs_->errors();
    EXPECT_LT(runs_->committed(out), all);
    ASSERT_EQ(runs_->wait(runs_->start(3 - ranks, out)), 0) << runs_->errors();
    EXPECT_EQ(tests::values_of(runs_->path(out)), expected) << ranks;
  }
}

TEST_F(DcmRun, HasARowForEveryUnitAndItsStages) {
  const auto out = runs_->path("whole");
  EXPECT_EQ(tests::rows_of(out, "units").size(), size_t{3 + 3 + 3 + 2});
  EXPECT_EQ(tests::rows_of(out, "dcm/pairs").size(), 3u);
  EXPECT_EQ(tests::rows_of(out, "dcm/single").size(), 6u);
  EXPECT_EQ(tests::rows_of(out, "dcm/sweep_pairs").size(), 2u);
  EXPECT_EQ(tests::rows_of(out, "dcm/baselines").size(), 3u * (4 * 2 + 4));
  std::vector<std::pair<std::string, int64_t>> sweep;
  for (const auto& row : tests::rows_of(out, "dcm/sweep"))
    sweep.emplace_back(row["stage"], row["k"]);
  EXPECT_THAT(sweep, testing::ElementsAre(std::pair("ksweep", 1), std::pair("ksweep", 4)));
  for (const auto& row : tests::rows_of(out, "dcm/sweep")) EXPECT_EQ(row["pairs"], 2);
  for (const auto& row : tests::rows_of(out, "dcm/sweep_pairs")) EXPECT_EQ(row["k"], 1);
}

// The stored vectors, put before the model again, give the stored losses and texts.
TEST_F(DcmRun, EmbeddingsGiveTheLossesOfTheirRows) {
  const auto model = lm::load_model(source / "jobs/models/pocket-lm", {});
  const auto tokenizer = text::load_tokenizer(source / "jobs/models/pocket-lm");
  const auto file = runs_->path("whole") / "results.h5";
  const auto modes = store::read_tensor({file, "dcm/modes"});
  const auto embeddings = store::read_tensor({file, "dcm/embeddings"});
  const auto rows = tests::rows_of(runs_->path("whole"), "dcm/pairs");
  ASSERT_EQ(embeddings.shape, (std::vector<int64_t>{3, 4, model->config().hidden_size}));
  ASSERT_EQ(modes.shape, (std::vector<int64_t>{2, model->config().hidden_size}));
  const auto as_tensor = [](const store::TensorValues& v) {
    return at::tensor(v.values, at::kFloat).reshape(v.shape);
  };
  const auto mode = as_tensor(modes), c = as_tensor(embeddings);
  for (const int side : {0, 1}) {
    const auto ids = tokenizer.encode(side == 0 ? "Q" : "A");
    ASSERT_EQ(ids.size(), 1u);
    EXPECT_TRUE(at::equal(mode[side], model->embed(at::tensor(ids, at::kLong))[0]));
  }
  for (size_t p = 0; p < rows.size(); ++p) {
    const auto& row = rows[p];
    bool tight = true;
    for (const int side : {0, 1}) {
      const std::string name = side == 0 ? "q" : "a";
      const auto target = row[side == 0 ? "question" : "answer"].get<std::string>();
      auto ids = tokenizer.encode(target);
      ids.push_back(tokenizer.special().eos.value());
      ASSERT_EQ(static_cast<int64_t>(ids.size()), row["n_" + name].get<int64_t>());
      const auto prompt = at::cat({mode[side].unsqueeze(0), c[static_cast<int64_t>(p)]});
      const lm::ScoreRequest request{.prompt = {}, .embeddings = prompt, .continuation = ids};
      const auto score = lm::score(*model, {request}, {})[0];
      double sum = 0, worst = 0;
      for (const float logprob : score.logprobs) {
        sum -= logprob, worst = std::max<double>(worst, -logprob);
      }
      const auto n = static_cast<double>(ids.size());
      EXPECT_NEAR(row["loss_" + name].get<double>(), sum / n, 1e-5) << p << name;
      EXPECT_NEAR(row["max_nll_" + name].get<double>(), worst, 1e-5) << p << name;
      EXPECT_NEAR(row["loss_" + name + "_without_eos"].get<double>(),
                  (sum + score.logprobs.back()) / (n - 1), 1e-5);
      tight &= worst < std::log(2.0);
      if (row["exact"].get<bool>()) {
        EXPECT_EQ(row["decoded_" + name], target);
      }
    }
    EXPECT_EQ(row["tight"].get<bool>(), tight);
    // By the lemma: p > 1/2 of every token.
    EXPECT_TRUE(row["exact"].get<bool>() || !tight) << p;
  }
}

// A chosen restart's first curve point is at c_0; restarts of a pair differ.
TEST_F(DcmRun, CurvesBelongToTheirRestarts) {
  const auto restarts = tests::rows_of(runs_->path("whole"), "dcm/restarts");
  std::map<std::string, std::vector<double>> totals;
  for (const auto& row : tests::rows_of(runs_->path("whole"), "dcm/curves")) {
    auto& curve =
        totals[str(row["stage"], row["pair_index"], row["k"], row["target"], row["restart"])];
    EXPECT_EQ(row["step"].get<size_t>(), curve.size());
    double total = 0;
    for (const char* side : {"loss_q", "loss_a"}) {
      if (row[side].is_number() && std::isfinite(row[side].get<double>()))
        total += row[side].get<double>();
    }
    curve.push_back(total);
  }
  ASSERT_EQ(totals.size(), restarts.size());
  for (const auto& row : restarts) {
    const auto& curve =
        totals.at(str(row["stage"], row["pair_index"], row["k"], row["target"], row["restart"]));
    EXPECT_EQ(row["steps"].get<size_t>() + 1, curve.size());
    double best = 0;
    for (const char* side : {"loss_q", "loss_a"}) {
      if (row[side].is_number() && std::isfinite(row[side].get<double>()))
        best += row[side].get<double>();
    }
    EXPECT_NEAR(curve.at(row["best_step"].get<size_t>()), best, 1e-4);
  }
}

}  // namespace
}  // namespace preimage::dcm

int main(int argc, char** argv) {
  return preimage::tests::whole_run_main<preimage::dcm::Dcm>(argc, argv, "dcm");
}
