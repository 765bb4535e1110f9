// time limit: 120 s
// Whole trainings of a sentence encoder and of its inverter: the same bits on two ranks, after a
// stop in the middle, and for each combination of a sweep; what they leave is loaded and read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "finetune.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/encoder/text_embedder.hpp"
#include "preimage/lm/t5/vec2text.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "run/whole_run.hpp"

namespace preimage::finetune {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;

const fs::path models = fs::path(PREIMAGE_SOURCE_DIR) / "jobs/models";

class SentenceRun : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string kind = GetParam();
    std::ofstream text(runs_.path("text.jsonl")), valid(runs_.path("valid.jsonl"));
    for (int i = 0; i < 24; ++i) {
      const Json line = {{"prompt", str("Find the number ", i)},
                         {"completion", str("Give the digit ", i % 7, " of the row.")}};
      (i < 20 ? text : valid) << line << "\n";
    }
    text.close(), valid.close();
    Json job = {{"method", "finetune"},
                {"finetune",
                 {{"kind", kind},
                  {"model", models / (kind == "encoder" ? "pocket-sentence" : "pocket-inverter")},
                  {"text", runs_.path("text.jsonl")},
                  {"validation", runs_.path("valid.jsonl")},
                  {"save_dtype", "float32"},
                  {"sentence",
                   {{"steps", 40},
                    {"micro_shards", 2},
                    {"shard_texts", 4},
                    {"schedule", {{"lr", 0.002}, {"warmup_steps", 4}}},
                    {"evaluate_every", 10},
                    {"checkpoint_interval_s", 0}}}}},
                {"sweep", {{"run.seed", {1, 2}}}},
                {"run", {{"device", "cpu"}, {"threads", 1}}}};
    if (kind == "inverter") job["finetune"]["embedder"] = models / "pocket-sentence";
    std::ofstream(runs_.path("job.json")) << job;
  }
  fs::path folder(const std::string& out, int seed) const {
    return runs_.path(out) / str("combinations/run.seed=", seed);
  }
  std::string weights(const std::string& out, int seed) const {
    return base::read_file(folder(out, seed) / "model/model.safetensors");
  }
  bool logs(const std::string& out, const std::string& words) const {
    const auto file = runs_.path(out) / "log/rank-000.log";
    return fs::exists(file) && base::read_file(file).find(words) != std::string::npos;
  }

  void what_it_left_is_read() const;

  tests::WholeRuns runs_;
};

TEST_P(SentenceRun, TwoRanksAndAStopGiveTheBitsOfOne) {
  ASSERT_EQ(runs_.wait(runs_.start(1, "whole")), 0) << runs_.errors();
  const pid_t pid = runs_.start(2, "stopped");
  for (int i = 0; i < 20000 && !logs("stopped", "step 20"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  for (const pid_t rank : tests::WholeRuns::descendants(pid)) ::kill(rank, SIGTERM);
  EXPECT_NE(runs_.wait(pid), 0);
  EXPECT_FALSE(fs::exists(runs_.path("stopped") / "results.h5"));
  EXPECT_TRUE(fs::exists(folder("stopped", 1) / "train_state.safetensors"));
  // Killed at once, which must not spoil the state.
  const pid_t killed = runs_.start(2, "stopped");
  for (int i = 0; i < 20000 && !logs("stopped", "step 30"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  runs_.kill(killed, "stopped");
  ASSERT_EQ(runs_.wait(runs_.start(2, "stopped")), 0) << runs_.errors();
  EXPECT_EQ(tests::values_of(runs_.path("stopped")), tests::values_of(runs_.path("whole")));
  for (const int seed : {1, 2})
    EXPECT_TRUE(weights("stopped", seed) == weights("whole", seed)) << seed;
  EXPECT_FALSE(weights("whole", 1) == weights("whole", 2));

  const auto rows = tests::rows_of(runs_.path("whole"), "finetune/sentences");
  ASSERT_EQ(rows.size(), 80u);
  for (const size_t first : {0u, 40u})
    EXPECT_LT(rows[first + 39]["loss"].get<double>(), 0.9 * rows[first]["loss"].get<double>());
  what_it_left_is_read();
}

void SentenceRun::what_it_left_is_read() const {
  const auto model = folder("whole", 1) / "model";
  if (std::string(GetParam()) == "inverter") {
    EXPECT_EQ(lm::load_vec2text(model, {})->config().embedding_size, 96);
    EXPECT_NO_THROW(text::load_tokenizer(model));
    return;
  }
  // The pooling is that of the folder it started from.
  EXPECT_EQ(base::read_json(model / "1_Pooling/config.json"),
            base::read_json(models / "pocket-sentence/1_Pooling/config.json"));
  lm::TextEmbedder trained(model, "pipeline"), start(models / "pocket-sentence", "pipeline");
  trained.load({}), start.load({});
  const auto tokenizer = text::load_tokenizer(trained.model_folder());
  const auto tokens = trained.tokens(tokenizer, "Find the number 3");
  const auto ours = trained.embed({tokens}), before = start.embed({tokens});
  EXPECT_EQ(ours.sizes(), before.sizes());
  EXPECT_FALSE(ours.equal(before));
}

INSTANTIATE_TEST_SUITE_P(Kinds, SentenceRun, testing::Values("encoder", "inverter"),
                         [](const auto& kind) { return std::string(kind.param); });

}  // namespace
}  // namespace preimage::finetune

int main(int argc, char** argv) {
  return preimage::tests::whole_run_main<preimage::finetune::Finetune>(argc, argv, "finetune");
}
