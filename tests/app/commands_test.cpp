// time limit: 90 s
// The commands that need no model: wrong words, methods and their fields, jobs checked and handed
// to Slurm.
#include <csignal>
#include <cstdlib>

#include "app/program.hpp"

namespace preimage::app::tests {
namespace {

using testing::HasSubstr;

class Commands : public ProgramTest {
 protected:
  const std::string model = std::string(PREIMAGE_TEST_DATA) + "/lm/fixtures/qwen2_text";
  Json finetune() const {
    return {{"method", "finetune"},
            {"finetune",
             {{"model", model},
              {"text", put("text", "{\"text\":\"a b c\"}\n")},
              {"validation", put("valid", "{\"text\":\"a b\"}\n")},
              {"train",
               {{"steps", 2},
                {"schedule", {{"steps", 2}}},
                {"shard_tokens", 8},
                {"micro_shards", 2},
                {"context", 16}}}}},
            {"run", {{"device", "cpu"}, {"threads", 1}}}};
  }
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
  expect_refused({"validate", path("none.json")}, 65, "none.json: no such file");
  expect_refused({"validate", put("half.json", "{\"method\":")}, 78, "half.json:1:");
  const auto missing = preimage({"validate", job, "--set", "finetune.text=nowhere.jsonl"});
  EXPECT_TRUE(missing.code == 65 || missing.code == 78);
  EXPECT_THAT(missing.err, HasSubstr("preimage: nowhere.jsonl: no such file"));
}

TEST_F(Commands, SubmitWritesABatchScript) {
  auto job = finetune();
  const auto plain = put("plain.json", job.dump());
  job["sweep"] = {{"run.seed", {0, 1, 2}}};
  const auto swept = put("it's.json", job.dump());
  const auto script = preimage({"submit", plain, "--slurm", "-n", "4", "--gpus", "1", "--time",
                                "1:00:00", "--out", path("out"), "--set", "run.seed=3"});
  EXPECT_EQ(script.code, 0) << script.err;
  for (const char* text :
       {"#!/bin/bash\n", "#SBATCH --ntasks=4\n", "#SBATCH --gpus-per-task=1\n",
        "#SBATCH --signal=B:USR2@240\n", "#SBATCH --requeue\n", "trap 'kill -USR2 \"$child\"'",
        "scontrol requeue", "--set 'run.seed=3'", "--resume"}) {
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
  job["finetune"]["train"]["steps"] = job["finetune"]["train"]["schedule"]["steps"] = 1000000;
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
}

}  // namespace
}  // namespace preimage::app::tests
