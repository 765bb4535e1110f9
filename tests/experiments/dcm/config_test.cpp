#include "config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "preimage/base/json.hpp"

namespace preimage::dcm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The least a job has to say.
DcmConfig least() {
  DcmConfig config;
  config.model.dir = "model";
  config.data.path = "data.json";
  config.templates = {.answer_from_question = "Question: {question}\nAnswer: ",
                      .question_from_answer = "Answer: {answer}\nQuestion: ",
                      .answer_from_passage = "{passage}\nQuestion: {question}\nAnswer: "};
  return config;
}

// The settings of the plan and of its errata, one by one.
TEST(DcmConfig, DefaultsAreThePlans) {
  DcmConfig config;
  const auto all = base::to_json(base::fields_of(config));
  const auto expected = base::parse_json(R"({
    "model": {"dir": "", "dtype": "float32", "weights": "decoded", "adapter": ""},
    "data": {"kind": "squad", "path": "", "count": 100, "seed": 42, "one_per_group": true,
      "max_question_tokens": 0, "max_answer_tokens": 0},
    "stages": ["single", "joint", "spot"], "k": 32, "mode_question": "Q",
      "mode_answer": "A", "append_eos": true, "init": "gauss", "init_sigma": 0.02, "restarts": 5,
      "restart_policy": "failures", "keep_restart_embeddings": false, "stop": "none",
      "objective": "plain", "manifold_lambda": 0.0,
      "schedule": {"kind": "cosine", "lr": 0.01, "steps": 500, "coarse_steps": 200,
        "fine_lr": 0.005, "first_period": 800, "period_factor": 2, "warmup_steps": 0,
        "final_fraction": 0.0},
      "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}, "clip": 1.0, "baseline_draws": 10,
      "templates": {"answer_from_question": "", "question_from_answer": "",
        "answer_from_passage": ""},
      "convergence": {"random_factor": 0.3, "full_factor": 2.0, "tight_nll": 0.6931471805599453},
      "conflict_window": 10,
      "gates": {"mode": "record", "g1_single_conv": 0.7, "g2_pairs": 50, "g2_conv": 0.2,
        "g3_pairs": 100, "g3_conv": 0.3, "g4_correlation": -0.3, "g4_negative": 0.5,
        "g4_pairs": 0.25, "g5_loss": 1e-7, "g5_pairs": 0.05, "g6_conv": 0.5, "spot_pass": 0.8,
        "spot_cases": 5},
      "k_sweep": [4, 8, 16, 32, 64, 128], "k_sweep_pairs": 0, "k_sweep_reference": 32,
      "k_sweep_margin": 0.05, "paraphrases": "", "paraphrase_weight": 0.5,
      "decode_extra_tokens": 16, "text_encoder": "", "curve_every": 1, "batch_tokens": 8192,
      "compact_every": 25})",
                                         "expected");
  EXPECT_EQ(all, expected) << base::Json::diff(expected, all).dump(2);
}

TEST(DcmConfig, OnlyTheBatchIsPlacement) {
  DcmConfig config;
  std::vector<std::string> placed;
  const auto fields = base::fields_of(config);
  for (const auto& field : fields.all()) {
    if (field.info.role == base::FieldRole::placement) placed.push_back(field.path);
    EXPECT_FALSE(field.info.help.empty()) << field.path;
  }
  EXPECT_THAT(placed, ElementsAre("batch_tokens", "compact_every"));
}

TEST(DcmConfig, ReadingNamesMissingUnknownAndOutOfRangeKeysAtOnce) {
  DcmConfig config;
  auto fields = base::fields_of(config);
  const base::Json job = {{"model", {{"dir", "m"}}},
                          {"data", {{"kind", "squat"}}},
                          {"restart", 3},
                          {"k", 0},
                          {"stages", {"joint", "sport"}}};
  const auto errors = base::read_fields(fields, job, "job.json");
  EXPECT_THAT(errors, Contains(HasSubstr("did you mean \"restarts\"")));
  EXPECT_THAT(errors, Contains(HasSubstr("\"k\": found 0")));
  EXPECT_THAT(errors, Contains(HasSubstr("\"stages\": found \"sport\"")));
  EXPECT_THAT(errors, Contains(HasSubstr("\"data.kind\": found \"squat\"")));
  EXPECT_THAT(errors, Contains(HasSubstr("missing key \"templates.answer_from_question\"")));
}

TEST(DcmConfig, ALeastJobIsAccepted) {
  EXPECT_THAT(least().check(), IsEmpty());
}

void expect_one_error(const DcmConfig& config, const std::string& text) {
  const auto errors = config.check();
  EXPECT_THAT(errors, ElementsAre(HasSubstr(text)));
}

TEST(DcmConfig, RulesBetweenFields) {
  auto config = least();
  config.data.path = "";
  expect_one_error(config, "data.path");
  config.data.kind = "arithmetic";
  EXPECT_THAT(config.check(), IsEmpty());

  config = least();
  config.mode_answer = "Q";
  expect_one_error(config, "two different");

  config = least();
  config.init_sigma = 0;
  expect_one_error(config, "dcm.init_sigma");
  config.restarts = 1;
  EXPECT_THAT(config.check(), IsEmpty());

  config = least();
  config.templates.answer_from_passage = "{passage} Answer:";
  expect_one_error(config, "{question}");

  config = least();
  config.schedule.kind = "coarse-fine";
  config.schedule.coarse_steps = 500;
  expect_one_error(config, "dcm.schedule.coarse_steps");

  config = least();
  config.gates.g3_conv = 0.9;
  expect_one_error(config, "dcm.gates.g3_conv");
}

TEST(DcmConfig, RulesOfStages) {
  auto config = least();
  config.stages = {};
  expect_one_error(config, "at least one stage");
  config.stages = {"joint", "joint"};
  expect_one_error(config, "twice");
  config.stages = {"single", "spot"};
  expect_one_error(config, "spot without joint");
  config.stages = {"joint", "paraphrase"};
  expect_one_error(config, "dcm.paraphrases");
  config.paraphrases = "p.jsonl";
  EXPECT_THAT(config.check(), IsEmpty());
  config.stages = {"joint"};
  expect_one_error(config, "nothing would use");
  config.gates.mode = "enforce";
  EXPECT_THAT(config.check(), IsEmpty());
}

TEST(DcmConfig, RulesOfTheKSweep) {
  auto config = least();
  config.stages = {"joint", "ksweep"};
  EXPECT_THAT(config.check(), IsEmpty());
  config.k_sweep = {8, 4};
  expect_one_error(config, "ascending");
  config.k_sweep = {4, 4};
  expect_one_error(config, "ascending");
  config.k_sweep = {};
  expect_one_error(config, "at least one K");
  config.k_sweep = {4};
  config.k_sweep_pairs = 101;
  expect_one_error(config, "data.count (100)");
}

TEST(DcmConfig, EveryErrorAtOnce) {
  auto config = least();
  config.data.path = "";
  config.stages = {"spot"};
  config.templates = {};
  EXPECT_EQ(config.check().size(), 6u);
}

TEST(DcmConfig, MissingFilesAreNamedWithTheWorkingFolder) {
  auto config = least();
  const auto folder = std::filesystem::temp_directory_path();
  config.model.dir = folder.string();
  config.data.path = folder.string();  // a folder where a file is expected
  config.text_encoder = (folder / "no such encoder").string();
  const auto errors = config.check_files();
  EXPECT_THAT(errors, ElementsAre(HasSubstr("\"dcm.data.path\": found something else"),
                                  HasSubstr("\"dcm.text_encoder\": found nothing")));
  EXPECT_THAT(errors[0], HasSubstr(std::filesystem::current_path().string()));
  config.data.kind = "arc";
  EXPECT_EQ(config.check_files().size(), 1u);
}

TEST(DcmConfig, NotesSayWhatIsOff) {
  auto config = least();
  EXPECT_THAT(config.notes(), ElementsAre(HasSubstr("cosine clause is off")));
  config.text_encoder = "encoder";
  config.data.count = 16;
  EXPECT_THAT(config.notes(), ElementsAre(HasSubstr("not_reached")));
}

}  // namespace
}  // namespace preimage::dcm
