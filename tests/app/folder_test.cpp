// time limit: 90 s
// What a finished run leaves, as status, inspect, merge and export show it.

#include "app/program.hpp"
#include "preimage/store/journal.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class Folders : public ProgramTest {
 protected:
  void run_job(const std::string& out, int64_t seed) const {
    const std::string model = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text";
    const Json job = {
        {"method", "finetune"},
        {"finetune",
         {{"model", model},
          {"text", put("text", "{\"text\":\"a b c d e f g h\"}\n")},
          {"validation", put("valid", "{\"text\":\"a b\"}\n")},
          {"train", {{"steps", 30}, {"shard_tokens", 8}, {"micro_shards", 2}, {"context", 16}}}}},
        {"run", {{"device", "cpu"}, {"threads", 1}, {"seed", seed}}}};
    const auto ended = preimage({"run", put("job.json", job.dump()), "--out", path(out)});
    ASSERT_EQ(ended.code, 0) << ended.err;
  }
};

TEST_F(Folders, AFinishedRun) {
  run_job("one", 1);
  run_job("two", 2);
  const auto status = preimage({"status", path("one")});
  EXPECT_EQ(status.code, 0);
  EXPECT_THAT(status.out, HasSubstr("method      finetune, identity "));
  EXPECT_THAT(status.out, HasSubstr("state       done\n"));

  const auto seen = preimage({"inspect", path("one")});
  EXPECT_EQ(seen.code, 0) << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("preimage results 1"));
  EXPECT_THAT(seen.out, HasSubstr("table   finetune/curve  30 rows"));
  EXPECT_THAT(seen.out, HasSubstr("... 10 more rows (--table finetune/curve)"));
  const auto one =
      preimage({"inspect", path("one/results.h5"), "--table", "finetune/curve", "--rows", "2"});
  EXPECT_THAT(one.out, HasSubstr("gradient_norm"));
  EXPECT_THAT(one.out, testing::Not(HasSubstr("\n2  ")));
  expect_refused({"inspect", path("one"), "--table", "finetune/curves"}, 78,
                 "no table \"finetune/curves\"; there are");

  const auto merged =
      preimage({"merge", path("one"), path("two/results.h5"), "--out", path("both.h5")});
  EXPECT_EQ(merged.code, 0) << merged.err;
  EXPECT_EQ(preimage({"export", path("both.h5"), "--jsonl", "--out", path("jsonl")}).code, 0);
  const auto rows = lines_of(text_of("jsonl/finetune.curve.jsonl"));
  ASSERT_EQ(rows.size(), 60u);
  EXPECT_EQ(rows[0]["run"], "one");
  EXPECT_EQ(rows[59]["run"], "two");
  EXPECT_EQ(rows[59]["step"], 29);
  EXPECT_TRUE(rows[0]["validation_loss"].is_null());
  EXPECT_GT(rows[0]["loss"].get<double>(), rows[29]["loss"].get<double>());

  EXPECT_EQ(preimage({"export", path("one"), "--csv", "--out", path("csv")}).code, 0);
  const auto csv = text_of("csv/finetune.curve.csv");
  EXPECT_THAT(csv, testing::StartsWith("step,loss,gradient_norm,"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 31);

  expect_refused({"merge", path("one"), "--out", path("both.h5")}, 78, "both.h5: exists");
  expect_refused({"export", path("one"), "--out", path("x")}, 78,
                 "choose one of --csv and --jsonl");
}

TEST_F(Folders, NoRunThere) {
  expect_refused({"status", path("none")}, 78, "none: no such folder");
  expect_refused({"inspect", path("none")}, 78, "no such file or folder");
  fs::create_directory(path("empty"));
  expect_refused({"inspect", path("empty")}, 65, "holds no results.h5; expected a run's folder");
  expect_refused({"inspect", put("text.h5", "not hdf5")}, 65, "text.h5");
  expect_refused({"merge", path("empty"), "--out", path("x.h5")}, 65, "holds no results.h5");
  fs::create_directory(path("killed"));
  put("killed/state.json",
      R"({"status":"running","generation":2,"done":3,"total":9,"quarantined":1,"reason":"","exit_code":0})");
  const auto killed = preimage({"status", path("killed")});
  EXPECT_THAT(killed.out, HasSubstr("interrupted: nobody is running it; go on with --resume"));
  EXPECT_THAT(killed.out, HasSubstr("3 of 9 done, 1 in quarantine"));
}

// The journal knows what state.json, some seconds old when its run was killed, does not.
TEST_F(Folders, StatusCountsWhatTheJournalHolds) {
  fs::create_directories(path("killed/journal"));
  put("killed/state.json",
      R"({"status":"running","generation":0,"done":0,"total":2,"planned":6,"quarantined":0,"reason":"","exit_code":0})");
  {
    store::JournalWriter writer(path("killed/journal"), 0, 0, "run");
    writer.commit(
        {{}, {{"a1", 0, 0, "joint", {{"k", 8}}, {}}, {"a2", 0, 1, "joint", {{"k", 4}}, {}}}});
    writer.quarantine({"b7", 0, 2, "joint", {{"k", 2}, {"name", "\x1b[31m"}}, {}},
                      "ended its rank 3 times");
  }
  const auto killed = preimage({"status", path("killed")});
  EXPECT_THAT(killed.out, HasSubstr("units       2 of 6 done, 1 in quarantine\n"));
  EXPECT_THAT(killed.out, HasSubstr("b7 joint {\"k\":2,\"name\":"));
  EXPECT_THAT(killed.out, HasSubstr("another chance: preimage release "));
  EXPECT_EQ(killed.out.find('\x1b'), std::string::npos);
  expect_refused({"release", path("killed"), "b8"}, 78,
                 "unit b8 is not in quarantine; there are b7");
  expect_refused({"release", path("nowhere")}, 65, "no run here");
  EXPECT_THAT(preimage({"release", path("killed")}).out,
              HasSubstr("b7: released\n1 units get another"));
  EXPECT_THAT(preimage({"status", path("killed")}).out, HasSubstr("units       2 of 6 done\n"));
}

// A hostile file's names do nothing to the terminal, and its end is one line.
TEST_F(Folders, ADamagedFileEndsInOneLine) {
  const auto path_ = path("x.h5");
  const auto file = preimage::base::read_file(std::string(PREIMAGE_TEST_DATA) + "/app/escape.h5");
  put("x.h5", file);
  const auto seen = preimage({"inspect", path_});
  EXPECT_EQ(seen.code, 0) << seen.err;
  EXPECT_EQ(seen.out.find('\x1b'), std::string::npos) << seen.out;
  EXPECT_THAT(seen.out, HasSubstr("\\x1b[2Jname"));
  for (size_t at = 700; at < file.size() && at < 1100; at += 57) {
    auto flipped = file;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    put("x.h5", flipped);
    const auto ended = preimage({"inspect", path_});
    EXPECT_TRUE(ended.code == 0 || ended.code == 65) << at << ": " << ended.code << ended.err;
    EXPECT_LE(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
  }
}

}  // namespace
}  // namespace preimage::app::tests
