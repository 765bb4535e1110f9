// time limit: 90 s
// The commands that need no model: wrong words, methods and their fields, jobs checked and handed
// to Slurm.
#include <csignal>
#include <cstdlib>

#include "app/program.hpp"

#ifdef PREIMAGE_CUDA
#define PREIMAGE_WITH_CUDA true
#else
#define PREIMAGE_WITH_CUDA false
#endif

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class Commands : public ProgramTest {
 protected:
  const std::string model = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text";
};

TEST_F(Commands, WrongWords) {
  expect_refused({}, 78, "subcommand is required");
  expect_refused({"inpect", "x"}, 78, "unknown command \"inpect\" (did you mean \"inspect\"?)");
  expect_refused({"run"}, 78, "job is required; see preimage run --help");
  expect_refused({"launch", "x.json"}, 78, "-n");
  expect_refused({"generate"}, 78, "--model is required; see preimage generate --help");
  expect_refused({"generate", "--model", "x", "--dtype", "int8"}, 78, "--dtype");
  expect_refused({"schema", "dreams"}, 78, "unknown method \"dreams\"; there are:");
}

TEST_F(Commands, Help) {
  EXPECT_THAT(preimage({"--version"}).out, testing::StartsWith("preimage 0."));
  const auto all = preimage({"--help"});
  EXPECT_EQ(all.code, 0);
  for (const char* name :
       {"run", "launch", "submit", "validate", "status", "inspect", "merge", "export", "methods",
        "schema", "generate", "score", "embed", "tokenize"}) {
    EXPECT_THAT(all.out, HasSubstr(std::string("\n  ") + name + " "));
  }
  EXPECT_THAT(preimage({"methods"}).out, HasSubstr("finetune  "));
  EXPECT_THAT(preimage({"help", "finetune"}).out, HasSubstr("finetune.train.steps = 1000"));
  EXPECT_EQ(preimage({"help"}).out, all.out);
  for (const char* code : {"  65  ", "  69  ", "  70  ", "  74  ", "  75  ", "  78  "})
    EXPECT_THAT(all.out, HasSubstr(code));
}

TEST_F(Commands, SchemaOfAWholeJob) {
  const auto schema = Json::parse(preimage({"schema", "finetune"}).out);
  EXPECT_EQ(schema["properties"]["method"]["const"], "finetune");
  EXPECT_EQ(schema["properties"]["run"]["properties"]["seed"]["type"], "integer");
  EXPECT_EQ(
      schema["properties"]["finetune"]["properties"]["train"]["properties"]["steps"]["default"],
      1000);
  EXPECT_THAT(schema["required"], testing::Contains(Json("method")));
  EXPECT_TRUE(schema["properties"].contains("sweep"));
}

TEST_F(Commands, Validate) {
  const auto job = put("job.json", finetune().dump());
  const auto good = preimage({"validate", job, "-n", "2", "--tflops", "2"});
  EXPECT_EQ(good.code, 0) << good.err;
  for (const char* text : {": valid\n", "units", "model calls", "tokens", "FLOP",
                           "memory per worker", "at 2 TFLOP/s", "with 2 workers"}) {
    EXPECT_THAT(good.out, HasSubstr(text));
  }
  const auto bad = preimage({"validate", job, "--set", "finetune.train.stepps=3", "--set",
                             "run.seed=-1", "--set", "run.device=tpu"});
  EXPECT_EQ(bad.code, 78);
  EXPECT_EQ(bad.out, "");
  EXPECT_THAT(bad.err, HasSubstr("preimage: --set finetune.train.stepps=3"));
  EXPECT_THAT(bad.err, HasSubstr("\npreimage: --set run.seed=-1"));
  EXPECT_THAT(bad.err, HasSubstr("\npreimage: --set run.device=tpu"));
  expect_refused({"validate", path("none.json")}, 78, "none.json: no such file");
  expect_refused({"validate", put("half.json", "{\"method\":")}, 78, "half.json:1:");
  const auto missing = preimage({"validate", job, "--set", "finetune.text=nowhere.jsonl"});
  EXPECT_EQ(missing.code, 78);
  EXPECT_THAT(missing.err, HasSubstr("preimage: nowhere.jsonl: no such file"));
}

TEST_F(Commands, SubmitWritesABatchScript) {
  auto job = finetune();
  const auto plain = put("plain.json", job.dump());
  job["sweep"] = {{"run.seed", {0, 1, 2}}};
  const auto swept = put("it's.json", job.dump());
  std::vector<std::string> words = {"submit",  plain,   "--slurm",   "-n",    "4",         "--time",
                                    "1:00:00", "--out", path("out"), "--set", "run.seed=3"};
  if (PREIMAGE_WITH_CUDA) words.insert(words.end(), {"--gpus", "1"});
  const auto script = preimage(words);
  EXPECT_EQ(script.code, 0) << script.err;
  for (const char* text :
       {"#!/bin/bash\n", "#SBATCH --ntasks=4\n",
        PREIMAGE_WITH_CUDA ? "#SBATCH --gpus-per-task=1\n" : "", "#SBATCH --signal=B:USR2@240\n",
        "#SBATCH --requeue\n", "trap 'kill -USR2 \"$child\"'", "scontrol requeue",
        "--set 'run.seed=3'", "--resume"}) {
    EXPECT_THAT(script.out, HasSubstr(text));
  }
  const auto array =
      preimage({"submit", swept, "--slurm", "--array", "--script", path("a.sbatch")});
  EXPECT_EQ(array.code, 0) << array.err;
  EXPECT_THAT(text_of("a.sbatch"), HasSubstr("#SBATCH --array=0-2\n"));
  EXPECT_THAT(text_of("a.sbatch"), HasSubstr("2) settings=(--set 'sweep.run.seed=[2]' ) ;;"));
  EXPECT_EQ(base::run_and_read({"bash", "-n", path("a.sbatch")}).end.exit_code, 0);
  expect_refused({"submit", plain}, 78, "--slurm");
  expect_refused({"submit", plain, "--slurm", "--array"}, 78, "--array needs a \"sweep\"");
}

// What Slurm does, done by hand: the warning reaches the run, which ends as resumable and is queued
// again.
TEST_F(Commands, TheBatchScriptRequeuesAStoppedRun) {
  auto job = finetune();
  job["finetune"]["train"]["steps"] = 1000000;
  const auto script = path("job.sbatch");
  ASSERT_EQ(preimage({"submit", put("job.json", job.dump()), "--slurm", "--out", path("out"),
                      "--script", script})
                .code,
            0);
  fs::create_directory(path("bin"));
  put("bin/scontrol", "#!/bin/bash\necho \"$@\" > " + path("requeued") + "\n");
  fs::permissions(path("bin/scontrol"), fs::perms::owner_all);
  const int log = ::open(path("log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const pid_t pid = base::start_process(
      {.argv = {"bash", script},
       .environment = {"PATH=" + path("bin") + ":" + std::getenv("PATH"), "SLURM_JOB_ID=77",
                       "OMPI_MCA_odls_base_sigkill_timeout=1",
                       "OMPI_MCA_rmaps_base_oversubscribe=1", "OMPI_ALLOW_RUN_AS_ROOT=1",
                       "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1"},
       .stdout_fd = log,
       .stderr_fd = log});
  ::close(log);
  for (int i = 0; i < 300 && !fs::exists(path("out/state.json")); ++i) ::usleep(50000);
  ::usleep(500000);
  ::kill(pid, SIGUSR2);
  const auto end = base::wait_process(pid);
  EXPECT_EQ(end.exit_code, 75) << text_of("log");
  ASSERT_TRUE(fs::exists(path("requeued"))) << text_of("log");
  EXPECT_EQ(text_of("requeued"), "requeue 77\n");
  EXPECT_THAT(text_of("log"), HasSubstr("job 77 is requeued, 1 of 50: stopped (signal)"));

  // The limit: what was restarted often enough stays where it is.
  fs::remove(path("requeued"));
  const auto ended = preimage({"submit", path("job.json"), "--slurm", "--out", path("out"),
                               "--script", script, "--requeues", "3"});
  ASSERT_EQ(ended.code, 0) << ended.err;
  const auto last = base::run_and_read({"bash", "-c",
                                        "export PATH=" + path("bin") +
                                            ":$PATH SLURM_JOB_ID=77 SLURM_RESTART_COUNT=3 "
                                            "SLURM_JOB_END_TIME=1000; . " +
                                            std::string(PREIMAGE_SOURCE_DIR) +
                                            "/scripts/env.sh; bash " + script + " 2>&1"});
  EXPECT_EQ(last.end.exit_code, 75) << last.text;
  EXPECT_THAT(last.text, HasSubstr("job 77 is not requeued: 3 requeues are spent"));
  EXPECT_THAT(last.text, HasSubstr("stopped (walltime)"));
  EXPECT_FALSE(fs::exists(path("requeued")));
}

TEST_F(Commands, SubmitRefusesWhatSlurmWould) {
  const auto job = put("job.json", finetune().dump());
  for (const char* time : {"4h", "04:00:00 ", "1:2:3:4", "", "1-", "10:99", "tomorrow"})
    expect_refused({"submit", job, "--slurm", "--time", time}, 78, "not a time of Slurm");
  for (const char* time : {"90", "90:30", "4:00:00", "2-12", "2-12:30", "1-00:00:00", "UNLIMITED"})
    EXPECT_EQ(preimage({"submit", job, "--slurm", "--time", time, "--out", path("out")}).code, 0)
        << time;
  if (!PREIMAGE_WITH_CUDA) {
    expect_refused({"submit", job, "--slurm", "--gpus", "1"}, 78, "is built without CUDA");
    expect_refused({"submit", job, "--slurm", "--set", "run.device=cuda"}, 78,
                   "run.device is cuda");
  }
  // The folder of the log is there also when the script is only printed.
  EXPECT_EQ(preimage({"submit", job, "--slurm", "--out", path("deep/er/out")}).code, 0);
  EXPECT_TRUE(fs::is_directory(path("deep/er")));
  expect_refused({"submit", job, "--slurm", "--script", job}, 78, "is the same file as the input");
}

TEST_F(Commands, MoreRanksThanCoresOrUnitsAreAnError) {
  const auto job = put("job.json", finetune().dump());
  for (const char* command : {"validate", "launch"}) {
    expect_refused({command, job, "-n", "3000"}, 78, "-n 3000: more ranks than the ");
    expect_refused({command, job, "-n", "3000", "--oversubscribe"}, 78,
                   "-n 3000: more ranks than the 2 units");
  }
  EXPECT_EQ(preimage({"validate", job, "-n", "2", "--oversubscribe"}).code, 0);
}

TEST_F(Commands, OutputsThatAreNoPlainFiles) {
  const auto in = put_lines("in.jsonl", {{{"text", "a b"}}});
  const auto to = [&](const std::string& out) {
    return preimage({"tokenize", "--model", model, "--in", in, "--out", out});
  };
  const auto plain = to("-").out;
  EXPECT_THAT(plain, HasSubstr("\"ids\""));
  EXPECT_EQ(to("/dev/null").code, 0);
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(to("/dev/stdout").out, plain);
  put("target", "old");
  fs::create_symlink("target", path("link"));
  EXPECT_EQ(to(path("link")).code, 0);
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(text_of("target"), plain);
  fs::create_symlink(in, path("input"));
  for (const auto& same : {in, path("input")})
    expect_refused({"tokenize", "--model", model, "--in", in, "--out", same}, 78,
                   "is the same file");
  expect_refused({"judge", "--in", in, "--out", in}, 78, "is the same file");
  EXPECT_THAT(text_of("in.jsonl"), HasSubstr("a b"));
}

}  // namespace
}  // namespace preimage::app::tests
