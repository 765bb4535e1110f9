// time limit: 240 s
// Whole fine-tunings: the same values on any number of ranks, after a stop on all of them or on
// one, after a kill, and for each combination of a sweep what the job gives by itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <thread>

#include "finetune.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/run/manifest.hpp"
#include "run/whole_run.hpp"

namespace preimage::finetune {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;
using testing::HasSubstr;

class FinetuneRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    runs_ = new tests::WholeRuns;
    std::ofstream text(runs_->path("text.jsonl")), valid(runs_->path("valid.jsonl"));
    for (int i = 0; i < 12; ++i)
      text << Json{{"prompt", str("the capital of ", i)}, {"completion", str(" is Paris ", i * i)}}
           << "\n";
    valid << Json{{"text", "Denver won the match; who lost?"}} << "\n";
    text.close(), valid.close();
    write_job("job.json", Json::object());
    ASSERT_EQ(runs_->wait(runs_->start(1, "whole")), 0) << runs_->errors();
  }
  static void TearDownTestSuite() {
    delete runs_;
    runs_ = nullptr;
  }

  // The job with `more` merged into it.
  static void write_job(const std::string& name, const Json& more) {
    Json job = {{"method", "finetune"},
                {"finetune",
                 {{"model", std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text"},
                  {"text", runs_->path("text.jsonl").string()},
                  {"validation", runs_->path("valid.jsonl").string()},
                  {"save_dtype", "float32"},
                  {"train",
                   {{"steps", 40},
                    {"micro_shards", 6},
                    {"shard_tokens", 32},
                    {"context", 32},
                    {"evaluate_every", 10},
                    {"evaluate_shards", 2},
                    {"schedule", {{"lr", 0.01}, {"warmup_steps", 4}}}}}}},
                {"run", {{"seed", 1}, {"device", "cpu"}, {"threads", 1}}}};
    job.merge_patch(more);
    std::ofstream(runs_->path(name)) << job;
  }
  // Never comes to its end by itself.
  static void write_long_job(double walltime_s) {
    write_job(
        "long.json",
        {{"finetune",
          {{"train", {{"steps", 1'000'000}, {"checkpoint_interval_s", 0}, {"evaluate_every", 0}}}}},
         {"run", {{"walltime_s", walltime_s}}}});
  }
  static std::string model(const std::string& out) {
    return base::read_file(runs_->path(out) / "model/model.safetensors");
  }
  // Waits until a state is on disk.
  static bool wait_for(const fs::path& file) {
    for (int i = 0; i < 10000 && !fs::exists(file); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(3));
    return fs::exists(file);
  }

  static inline tests::WholeRuns* runs_ = nullptr;
};

TEST_F(FinetuneRun, LearnsAndLeavesAModelAndItsCurve) {
  const auto rows = tests::rows_of(runs_->path("whole"), "finetune/curve");
  ASSERT_EQ(rows.size(), 40u);
  EXPECT_LT(rows[39]["loss"].get<double>(), 0.5 * rows[0]["loss"].get<double>());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i]["step"], i);
    const auto validation = rows[i]["validation_loss"].get<double>();
    EXPECT_EQ(std::isnan(validation), (i + 1) % 10 != 0) << i;
    if (!std::isnan(validation)) {
      // 31 bytes; the tokens are those that the model's tokenizer makes of them.
      const double ratio = rows[i]["validation_bits_per_byte"].get<double>() / validation;
      const auto tokens = ratio * std::log(2.0) * 31;
      EXPECT_NEAR(tokens, std::round(tokens), 1e-9);
    }
  }
  EXPECT_TRUE(fs::exists(runs_->path("whole") / "model/tokenizer.json"));
  EXPECT_EQ(runs_->committed("whole"), 1u);
}

TEST_F(FinetuneRun, AnyNumberOfRanksGivesTheSameBits) {
  for (const int ranks : {2, 3}) {
    const auto out = str("ranks", ranks);
    ASSERT_EQ(runs_->wait(runs_->start(ranks, out)), 0) << runs_->errors();
    EXPECT_EQ(tests::values_of(runs_->path(out)), tests::values_of(runs_->path("whole"))) << ranks;
    EXPECT_TRUE(model(out) == model("whole")) << ranks;
  }
}

// No rank leaves alone: mpirun sees exit code 75 and not an abort, the lock is released.
TEST_F(FinetuneRun, WalltimeStopsTwoRanksInGoodOrder) {
  write_long_job(1);
  EXPECT_EQ(runs_->wait(runs_->start(2, "walltime", "long.json")), 75) << runs_->errors();
  EXPECT_THAT(runs_->errors(), HasSubstr("stopped (walltime) after step "));
  EXPECT_THAT(runs_->errors(), testing::Not(HasSubstr("MPI_ABORT")));
  EXPECT_FALSE(fs::exists(runs_->path("walltime") / "lock"));
  EXPECT_EQ(run::read_state(runs_->path("walltime")).status, "stopped");
  // It goes on from there, not from the beginning, and stops again.
  const auto steps = [&] {
    const auto reason = run::read_state(runs_->path("walltime")).reason;
    return std::stoll(reason.substr(reason.find("after step ") + 11));
  };
  const auto first = steps();
  EXPECT_GT(first, 0);
  EXPECT_EQ(runs_->wait(runs_->start(1, "walltime", "long.json")), 75) << runs_->errors();
  EXPECT_GT(steps(), first);
}

TEST_F(FinetuneRun, ASignalToOneRankStopsAll) {
  write_long_job(0);
  const pid_t pid = runs_->start(3, "signalled", "long.json");
  ASSERT_TRUE(wait_for(runs_->path("signalled") / "train_state.safetensors")) << runs_->errors();
  const auto ranks = tests::WholeRuns::descendants(pid);
  ASSERT_FALSE(ranks.empty());
  ::kill(ranks.back(), SIGTERM);
  EXPECT_EQ(runs_->wait(pid), 75) << runs_->errors();
  EXPECT_THAT(runs_->errors(), HasSubstr("stopped (signal) after step "));
}

TEST_F(FinetuneRun, StoppedOrKilledItResumesToTheSameBits) {
  // Long enough to be in its middle when it is ended, however slow the signal travels.
  write_job("slow.json",
            {{"finetune", {{"train", {{"steps", 400}, {"checkpoint_interval_s", 0}}}}}});
  ASSERT_EQ(runs_->wait(runs_->start(1, "slow", "slow.json")), 0) << runs_->errors();
  for (const int signal : {SIGUSR2, SIGKILL}) {
    const auto out = str("ended", signal);
    const pid_t pid = runs_->start(2, out, "slow.json");
    ASSERT_TRUE(wait_for(runs_->path(out) / "train_state.safetensors")) << runs_->errors();
    if (signal == SIGKILL) {
      runs_->kill(pid, out);
    } else {
      ::kill(pid, signal);
      EXPECT_EQ(runs_->wait(pid), 75) << runs_->errors();
    }
    EXPECT_FALSE(fs::exists(runs_->path(out) / "results.h5"));
    ASSERT_EQ(runs_->wait(runs_->start(3, out, "slow.json")), 0) << runs_->errors();
    EXPECT_TRUE(model(out) == model("slow")) << signal;
    const auto curve = [](const std::string& of) {
      return tests::values_of(runs_->path(of)).at("finetune/curve");
    };
    EXPECT_EQ(curve(out), curve("slow")) << signal;
  }
}

// Each combination has its own state, model and unit, and the columns that tell them apart.
TEST_F(FinetuneRun, ASweepGivesWhatItsCombinationsGiveAlone) {
  const Json sweep = {{"finetune.train.schedule.lr", {0.001, 0.01}}, {"run.seed", {1, 2}}};
  write_job("sweep.json", {{"sweep", sweep}});
  write_job("alone.json",
            {{"finetune", {{"train", {{"schedule", {{"lr", 0.001}}}}}}}, {"run", {{"seed", 2}}}});
  ASSERT_EQ(runs_->wait(runs_->start(2, "sweep", "sweep.json")), 0) << runs_->errors();
  ASSERT_EQ(runs_->wait(runs_->start(1, "alone", "alone.json")), 0) << runs_->errors();
  const auto rows = tests::rows_of(runs_->path("sweep"), "finetune/curve");
  ASSERT_EQ(rows.size(), 160u);
  EXPECT_EQ(runs_->committed("sweep"), 4u);
  const auto expect_part = [&](double lr, int64_t seed, const std::string& alone) {
    std::vector<Json> part;
    for (auto row : rows) {
      if (row["finetune.train.schedule.lr"] != lr || row["run.seed"] != seed) continue;
      row.erase("finetune.train.schedule.lr");
      row.erase("run.seed");
      part.push_back(row);
    }
    // As text: NaN is not equal to itself.
    EXPECT_EQ(Json(part).dump(), Json(tests::rows_of(runs_->path(alone), "finetune/curve")).dump());
    const auto folder = str("combinations/finetune.train.schedule.lr=", lr, ",run.seed=", seed);
    EXPECT_TRUE(model(str("sweep/", folder)) == model(alone)) << folder;
  };
  expect_part(0.01, 1, "whole");
  expect_part(0.001, 2, "alone");
}

// A sweep of adapters, killed on two ranks and ended on three: the bits of one rank. The folders
// are what load_model merges.
TEST_F(FinetuneRun, AnAdapterIsTrainedBesideFrozenWeights) {
  write_job("lora.json", {{"finetune",
                           {{"trains", "lora"},
                            {"lora", {{"targets", {"q_proj", "down_proj"}}}},
                            {"train", {{"steps", 60}, {"checkpoint_interval_s", 0}}}}},
                          {"sweep", {{"finetune.lora.rank", {2, 3}}}}});
  const auto folder = [](int rank) {
    return str("combinations/finetune.lora.rank=", rank, "/adapter/");
  };
  const auto bytes = [&](const std::string& out, int rank) {
    return base::read_file(runs_->path(out) / folder(rank) / "adapter_model.safetensors");
  };
  ASSERT_EQ(runs_->wait(runs_->start(1, "lora", "lora.json")), 0) << runs_->errors();
  const auto rows = tests::rows_of(runs_->path("lora"), "finetune/curve");
  ASSERT_EQ(rows.size(), 120u);
  EXPECT_LT(rows[59]["loss"].get<double>(), 0.8 * rows[0]["loss"].get<double>());
  EXPECT_FALSE(fs::exists(runs_->path("lora") / folder(2) / "../model"));
  const auto model = fs::path(PREIMAGE_TEST_DATA) / "lm/fixtures/qwen2_text";
  for (const int rank : {2, 3})
    EXPECT_NO_THROW(lm::load_model(model, {.adapter = runs_->path("lora") / folder(rank)}));
  const pid_t pid = runs_->start(2, "lora_killed", "lora.json");
  ASSERT_TRUE(wait_for(runs_->path("lora_killed") /
                       "combinations/finetune.lora.rank=2/train_state.safetensors"))
      << runs_->errors();
  runs_->kill(pid, "lora_killed");
  ASSERT_EQ(runs_->wait(runs_->start(3, "lora_killed", "lora.json")), 0) << runs_->errors();
  EXPECT_EQ(tests::values_of(runs_->path("lora_killed")), tests::values_of(runs_->path("lora")));
  for (const int rank : {2, 3}) EXPECT_TRUE(bytes("lora_killed", rank) == bytes("lora", rank));
}

TEST_F(FinetuneRun, BadTextEndsAllRanksWithOneLine) {
  std::ofstream(runs_->path("bad.jsonl")) << "{\"text\": \"a\"}\n{\"text\": 3}\n";
  write_job("bad.json", {{"finetune", {{"text", runs_->path("bad.jsonl").string()}}}});
  EXPECT_EQ(runs_->wait(runs_->start(2, "bad", "bad.json")), 65) << runs_->errors();
  EXPECT_THAT(runs_->errors(), HasSubstr("bad.jsonl:2"));
  EXPECT_THAT(runs_->errors(), testing::Not(HasSubstr("MPI_ABORT")));
}

TEST_F(FinetuneRun, ADivergenceEndsAllRanksWithOneLine) {
  write_job(
      "diverges.json",
      {{"finetune",
        {{"train", {{"schedule", {{"lr", 100}}}, {"steps", 400}, {"adam", {{"clip", 0}}}}}}}});
  EXPECT_EQ(runs_->wait(runs_->start(2, "diverges", "diverges.json")), 78) << runs_->errors();
  EXPECT_THAT(runs_->errors(), HasSubstr("training diverged at step "));
  EXPECT_THAT(runs_->errors(), testing::Not(HasSubstr("MPI_ABORT")));
}

}  // namespace
}  // namespace preimage::finetune

int main(int argc, char** argv) {
  return preimage::tests::whole_run_main<preimage::finetune::Finetune>(argc, argv, "finetune");
}
