// time limit: 120 s
// A whole run from a file of labelled programs gives the same values on any number of ranks and
// after a kill in the middle of a training. The executable is its own ranked program: "run_test
// verifier JOB OUT [--resume]".
#include <fcntl.h>
#include <gtest/gtest.h>

#include <bit>
#include <csignal>
#include <fstream>
#include <map>
#include <optional>
#include <thread>

#include "preimage/base/file.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/data/candidates.hpp"
#include "preimage/run/job.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/sandbox/pool.hpp"
#include "preimage/store/inspect.hpp"
#include "run/one_process.hpp"
#include "verifier.hpp"

namespace preimage::verifier {
namespace {

namespace fs = std::filesystem;
using base::Json;
using base::str;

const char* const job_text = R"({
  "method": "verifier",
  "verifier": {
    "data": {"candidates": "FILE"},
    "arms": {"tokenizer": "TOKENIZER", "hidden_size": 32, "layers": 1, "heads": 2,
      "max_tokens": 64},
    "training_seeds": 2,
    "train": {"epochs": 12, "batch_pairs": 24, "lr": 0.003, "warmup_steps": 4, "evaluate_every": 4,
      "patience": 0},
    "bootstrap_draws": 500},
  "run": {"seed": 1, "device": "cpu", "threads": 1, "commit_interval_s": 0.02}
})";

// Programs that pass when they add and fail when they subtract.
void write_programs(const fs::path& path) {
  const base::RandomStream random(3, "programs", "run test");
  data::CandidateWriter writer(path);
  uint64_t at = 0;
  for (int64_t p = 0; p < 24; ++p) {
    for (int64_t i = 0; i < 5; ++i) {
      data::Candidate line;
      line.prompt = str("Combine the numbers of task ", p);
      line.pass = i % 2 == 0;
      line.code = str("def f(a):\n    return a ", line.pass ? "+" : "-", " ",
                      random.below(1000, at++), "\n");
      line.problem = str("p", p);
      line.index = i;
      writer.write(line);
    }
  }
  writer.sync();
}

// Table -> its rows as text, measured columns left out.
std::map<std::string, std::string> values_of(const fs::path& out) {
  std::map<std::string, std::string> values;
  const auto file = out / "results.h5";
  for (const auto& table : store::inspect_file(file).tables) {
    store::read_table(file, table.name, [&](const store::Row& row) {
      Json cells = Json::array();
      for (size_t c = 0; c < row.size(); ++c) {
        if (table.schema.columns[c].measured) continue;
        std::visit([&](const auto& cell) { cells.push_back(cell); }, row[c]);
      }
      values[table.name] += cells.dump() + "\n";
    });
  }
  return values;
}

class VerifierRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new tests::TemporaryFolder;
    write_programs(path("programs.jsonl"));
    auto text = std::string(job_text);
    text.replace(text.find("FILE"), 4, path("programs.jsonl").string());
    text.replace(text.find("TOKENIZER"), 9,
                 std::string(PREIMAGE_SOURCE_DIR) + "/jobs/models/pocket-coder");
    std::ofstream(path("job.json")) << text;
    ASSERT_EQ(wait(start(1, "whole")), 0) << errors();
  }
  static void TearDownTestSuite() {
    delete folder_;
    folder_ = nullptr;
  }

  static fs::path path(const std::string& name) { return folder_->path() / name; }
  static std::string errors() { return base::read_file(path("stderr")); }
  static int wait(pid_t pid) { return base::wait_process(pid).exit_code; }
  static pid_t start(int ranks, const std::string& out, bool resume = false) {
    std::vector<std::string> argv;
    if (ranks > 1) argv = {"mpirun", "-n", str(ranks)};
    for (const auto& word : {fs::read_symlink("/proc/self/exe").string(), std::string("verifier"),
                             path("job.json").string(), path(out).string()})
      argv.push_back(word);
    if (resume) argv.push_back("--resume");
    const int fd =
        ::open(path("stderr").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    const pid_t pid = base::start_process(
        {.argv = argv,
         .environment = {"OMPI_MCA_rmaps_base_oversubscribe=1",
                         "OMPI_MCA_hwloc_base_binding_policy=none", "OMPI_ALLOW_RUN_AS_ROOT=1",
                         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "OMPI_MCA_odls_base_sigkill_timeout=0",
                         "OMP_NUM_THREADS=1"},
         .stdout_fd = fd,
         .stderr_fd = fd,
         .own_process_group = true});
    ::close(fd);
    return pid;
  }

  static inline tests::TemporaryFolder* folder_ = nullptr;
};

TEST_F(VerifierRun, AnyNumberOfRanksGivesTheSameValues) {
  const auto expected = values_of(path("whole"));
  ASSERT_GE(expected.size(), 7u);
  for (const int ranks : {2, 3}) {
    const auto out = str("ranks", ranks);
    ASSERT_EQ(wait(start(ranks, out)), 0) << errors();
    EXPECT_EQ(values_of(path(out)), expected) << ranks;
  }
}

TEST_F(VerifierRun, KilledInATrainingItResumesToTheSameValues) {
  const pid_t pid = start(2, "killed");
  const auto state = path("killed") / "training" / "ouroboros-margin-0.safetensors";
  for (int i = 0; i < 10000 && !fs::exists(state); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  ::kill(-pid, SIGKILL);
  base::wait_process(pid);
  for (int i = 0; i < 200 && !run::folder_user(path("killed")).empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_FALSE(fs::exists(path("killed") / "results.h5"));
  ASSERT_EQ(wait(start(1, "killed", true)), 0) << errors();
  EXPECT_EQ(values_of(path("killed")), values_of(path("whole")));
}

}  // namespace
}  // namespace preimage::verifier

int main(int argc, char** argv) {
  using namespace preimage;
  if (argc > 3 && std::string(argv[1]) == "verifier") {
    run::JobRequest request{.job = argv[2], .out = argv[3], .resume = argc > 4};
    // For jobs that run programs: the executable named by PREIMAGE_SANDBOX.
    std::optional<sandbox::Supervisor> supervisor;
    if (const char* executable = std::getenv("PREIMAGE_SANDBOX")) {
      supervisor.emplace(sandbox::start_supervisor(executable));
      request.sandbox = &*supervisor;
    }
    const cluster::Session session(argc, argv);
    return run::run_job(session, request,
                        [](const std::string& method) -> std::unique_ptr<run::Experiment> {
                          if (method != "verifier") return nullptr;
                          return std::make_unique<verifier::Verifier>();
                        });
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
