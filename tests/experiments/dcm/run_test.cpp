// time limit: 240 s
// A whole dcm run on pocket-lm: what results.h5 holds against the model itself, and the same values
// on any number of ranks and after a kill.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <thread>

#include "dcm.hpp"
#include "initialise.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/store/inspect.hpp"
#include "preimage/text/metrics.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "report/text_cosine.hpp"
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

// Whether the row has a value there; NaN: none.
bool known(const base::Json& row, const std::string& column) {
  return std::isfinite(row.at(column).get<double>());
}

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
  // Four random kinds of two draws, four texts; for the two pairs of the sweep R at its other K.
  EXPECT_EQ(tests::rows_of(out, "dcm/baselines").size(), 3u * (4 * 2 + 4) + 2u * (2 * 2));
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

// R of a row is that of its own K: random vectors as many as the row's, drawn as the starts are,
// put before the model here.
TEST_F(DcmRun, TheRandomBaselineIsOfTheRowsK) {
  const auto folder = source / "jobs/models/pocket-lm";
  const auto model = lm::load_model(folder, {});
  const auto tokenizer = text::load_tokenizer(folder);
  const auto table = table_statistics(*model);
  std::map<int64_t, double> main_k;  // pair -> random_q of stage joint
  for (const auto& row : tests::rows_of(runs_->path("whole"), "dcm/pairs"))
    main_k[row["pair_index"]] = row["random_q"];
  const auto rows = tests::rows_of(runs_->path("whole"), "dcm/sweep_pairs");
  ASSERT_FALSE(rows.empty());
  for (const auto& row : rows) {
    for (const std::string side : {"question", "answer"}) {
      auto ids = tokenizer.encode(row[side].get<std::string>());
      ids.push_back(tokenizer.special().eos.value());
      const auto mode = tokenizer.encode(side == "question" ? "Q" : "A").at(0);
      dcm::Pair pair;
      pair.id = row["pair_id"];
      double sum = 0;
      for (const int64_t draw : {-1, -2}) {
        const auto c = start_vectors({"gauss", 0.02, 1}, pair, row["k"], draw, table, {});
        const auto prompt = at::cat({table.table[mode].unsqueeze(0), c});
        const auto score = lm::score(*model, {{.embeddings = prompt, .continuation = ids}}, {})[0];
        for (const float logprob : score.logprobs) sum -= logprob;
      }
      EXPECT_NEAR(row[side == "question" ? "random_q" : "random_a"].get<double>(),
                  sum / static_cast<double>(2 * ids.size()), 1e-5);
    }
    EXPECT_NE(row["random_q"].get<double>(), main_k.at(row["pair_index"]));
  }
}

// Distances are in units of a token's length: at the embedding of a token it is 0, and at the
// origin about 1.
TEST_F(DcmRun, NearestDistancesAreInUnitsOfATokensLength) {
  const auto model = lm::load_model(source / "jobs/models/pocket-lm", {});
  const auto table = model->embedding_table().to(at::kDouble);
  const double length = std::sqrt(table.square().sum(1).mean().item<double>());
  const auto stored = store::read_tensor({runs_->path("whole") / "results.h5", "dcm/embeddings"});
  const auto c = at::tensor(stored.values, at::kFloat).reshape(stored.shape).to(at::kDouble);
  size_t seen = 0;
  for (const auto& row : tests::rows_of(runs_->path("whole"), "dcm/nearest_tokens")) {
    if (row["stage"] != "joint") continue;
    const auto vector = c[row["pair_index"].get<int64_t>()][row["slot"].get<int64_t>()];
    const auto distances = (table - vector.unsqueeze(0)).norm(2, 1);
    EXPECT_NEAR(row["distance"].get<double>(), distances.min().item<double>() / length, 1e-5);
    EXPECT_EQ(row["token_id"].get<int64_t>(), distances.argmin().item<int64_t>());
    ++seen;
  }
  EXPECT_EQ(seen, 3u * 4);
}

// conv, tight and exact of a restart are those of the vectors that were kept.
TEST_F(DcmRun, RestartsAreJudgedAtTheirBestStep) {
  std::map<std::string, std::array<double, 4>> baselines;  // R and F of question and answer
  for (const char* name : {"dcm/pairs", "dcm/sweep_pairs"}) {
    for (const auto& row : tests::rows_of(runs_->path("whole"), name))
      baselines[str(row["pair_index"], row["k"])] = {row["random_q"], row["full_q"],
                                                     row["random_a"], row["full_a"]};
  }
  size_t lost = 0;
  for (const auto& row : tests::rows_of(runs_->path("whole"), "dcm/restarts")) {
    const auto& b = baselines.at(str(row["pair_index"], row["k"]));
    bool conv = true, tight = true;
    for (const std::string side : {"q", "a"}) {
      if (!known(row, "loss_" + side)) continue;  // stage single has one
      const auto* of_side = &b[side == "q" ? 0 : 2];
      const double loss = row["loss_" + side];
      conv &= loss < 0.3 * of_side[0] || loss < 2 * of_side[1];
      tight &= row["max_nll_" + side].get<double>() < std::log(2.0);
    }
    EXPECT_EQ(row["conv"].get<bool>(), conv);
    EXPECT_EQ(row["tight"].get<bool>(), tight);
    lost += row["steps_to_conv"].get<int64_t>() >= 0 && !conv;
    // What only two targets have is unknown for one.
    EXPECT_EQ(known(row, "kappa"), row["target"] == "both");
  }
  RecordProperty("met_and_lost_again", static_cast<int>(lost));
}

// The grade's cosine is that of the encoder, and decides with F1.
TEST_F(DcmRun, GradesUseTheCosineOfTheTextEncoder) {
  auto job = base::read_json(runs_->path("job.json"));
  job["dcm"]["stages"] = {"joint", "spot"};
  job["dcm"]["schedule"]["steps"] = 12;
  job["dcm"]["restarts"] = 1;
  const auto encoder = fs::path(PREIMAGE_TEST_DATA) / "lm/fixtures/gtr";
  job["dcm"]["text_encoder"] = encoder.string();
  std::ofstream(runs_->path("cosine.json")) << job.dump();
  ASSERT_EQ(runs_->wait(runs_->start(1, "cosine", "cosine.json")), 0) << runs_->errors();
  TextCosine cosine(encoder);
  cosine.load(at::kCPU);
  const auto rows = tests::rows_of(runs_->path("cosine"), "dcm/pairs");
  ASSERT_EQ(rows.size(), 3u);
  for (const auto& row : rows) {
    for (const std::string side : {"q", "a"}) {
      const std::string decoded = row["decoded_" + side];
      const std::string target = row[side == "q" ? "question" : "answer"];
      const double expected = cosine.of({{decoded, target}})[0];
      EXPECT_EQ(row["cosine_" + side].get<double>(), expected);
      EXPECT_EQ(row["grade_" + side],
                text::grade_name(text::grade_answer(decoded, target, expected)));
    }
  }
  // Without one there is no cosine, and nothing else changes.
  for (const auto& row : tests::rows_of(runs_->path("whole"), "dcm/pairs"))
    EXPECT_FALSE(known(row, "cosine_q"));
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
