// Which stages run, wave by wave, when gates are enforced: the fold alone, without a model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "preimage/base/str.hpp"
#include "report/summary.hpp"
#include "report/tables.hpp"
#include "run/one_process.hpp"
#include "search.hpp"

namespace preimage::dcm {
namespace {

using testing::ElementsAre;
using testing::Pair;

struct Course {
  std::vector<std::string> waves;            // "joint 0-4"
  std::map<std::string, std::string> taken;  // gate -> what the run did, stage joint
};

struct Units {
  bool joint_converges = true;
  bool conflict = false;
};

class GatedWaves : public testing::Test {
 protected:
  GatedWaves() {
    config_.stages = {"joint", "ksweep"};
    config_.k = 4;
    config_.k_sweep = {2, 4};
    config_.gates.mode = "enforce";
    config_.gates.g2_pairs = 2, config_.gates.g3_pairs = 4;
    config_.gates.g2_conv = 0;  // G2 never fails here
  }

  base::Json scalars(const run::Unit& unit, const Units& units) const {
    if (unit.stage == "baselines") return to_json(Baselines{.random = {{4, {9, 9}}, {2, {9, 9}}}});
    PairSummary summary;
    summary.outcome.article = unit.key.at("pair");
    summary.outcome.loss_q = summary.outcome.loss_a = 1;
    summary.outcome.conv = units.joint_converges;
    summary.outcome.conflict_known = true, summary.outcome.anti_correlate = units.conflict;
    return to_json(summary);
  }

  Course run(const Units& units) {
    std::vector<dcm::Pair> pairs;
    for (int64_t i = 0; i < 6; ++i) pairs.push_back({.index = i, .id = base::str("p", i)});
    tests::OneProcess one("dcm");
    const auto model = std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-lm";
    DcmSearch search(one.context(), std::make_shared<dcm::Setup>(
                                        dcm::Setup{.config = config_,
                                                   .tokenizer = text::load_tokenizer(model),
                                                   .vocabulary = {},
                                                   .pairs = pairs,
                                                   .model = nullptr,
                                                   .statistics = {},
                                                   .modes = at::zeros({2, 3})}));
    Course out;
    for (int64_t wave = 0;; ++wave) {
      const auto asked = search.ask(wave);
      if (asked.empty()) break;
      std::vector<run::Told> told;
      for (const auto& unit : asked) told.push_back({unit, scalars(unit, units)});
      const auto &first = asked.front(), &last = asked.back();
      out.waves.push_back(
          base::str(first.stage, " ", first.key.at("pair_index"), "-", last.key.at("pair_index")));
      search.tell(told);
    }
    std::map<std::string, size_t> column;
    for (const auto& table : dcm_schemas().tables) {
      for (size_t c = 0; table.name == table::gates && c < table.columns.size(); ++c)
        column[table.columns[c].name] = c;
    }
    const auto finished = search.finish();
    for (const auto& row : finished.rows.at(table::gates)) {
      const auto text = [&](const char* name) { return std::get<std::string>(row[column[name]]); };
      if (text("stage") == "joint") out.taken[text("gate")] = text("taken");
    }
    return out;
  }

  DcmConfig config_;
};

TEST_F(GatedWaves, WhereGatesPassEverythingRuns) {
  const auto course = run({});
  EXPECT_THAT(course.waves,
              ElementsAre("baselines 0-5", "joint 0-1", "joint 2-3", "joint 4-5", "ksweep 0-5"));
  EXPECT_EQ(course.taken.at("G3"), "recorded");
}

TEST_F(GatedWaves, AFailedG3EndsTheRun) {
  const auto course = run({.joint_converges = false});
  EXPECT_THAT(course.waves, ElementsAre("baselines 0-5", "joint 0-1", "joint 2-3"));
  EXPECT_EQ(course.taken.at("G3"), "stopped the run");
  EXPECT_EQ(course.taken.at("G4"), "recorded");
}

TEST_F(GatedWaves, AFailedG3RunsTheParaphrasesAndEndsTheRun) {
  config_.paraphrases = "p.jsonl";
  const auto course = run({.joint_converges = false});
  EXPECT_THAT(course.waves,
              ElementsAre("baselines 0-5", "joint 0-1", "joint 2-3", "paraphrase 0-5"));
  EXPECT_EQ(course.taken.at("G3"), "ran stage paraphrase and stopped the run");
}

// Paraphrases are the remedy for conflict; what else was asked for still runs.
TEST_F(GatedWaves, AFailedG4RunsTheParaphrasesAndTheRunGoesOn) {
  config_.paraphrases = "p.jsonl";
  for (const bool stage_too : {false, true}) {
    if (stage_too) config_.stages.push_back("paraphrase");
    const auto course = run({.conflict = true});
    EXPECT_THAT(course.waves, ElementsAre("baselines 0-5", "joint 0-1", "joint 2-3",
                                          "paraphrase 0-5", "joint 4-5", "ksweep 0-5"));
    EXPECT_EQ(course.taken.at("G4"), "ran stage paraphrase");
    EXPECT_EQ(course.taken.at("G3"), "recorded");
  }
}

TEST_F(GatedWaves, WithoutParaphrasesAFailedG4IsRecorded) {
  const auto course = run({.conflict = true});
  EXPECT_EQ(course.waves.back(), "ksweep 0-5");
  EXPECT_EQ(course.taken.at("G4"), "recorded");
}

TEST_F(GatedWaves, RecordedGatesStopNothing) {
  config_.gates.mode = "record";
  const auto course = run({.joint_converges = false, .conflict = true});
  EXPECT_THAT(course.waves, ElementsAre("baselines 0-5", "joint 0-5"));
  EXPECT_EQ(course.taken.at("G3"), "recorded");
}

}  // namespace
}  // namespace preimage::dcm
