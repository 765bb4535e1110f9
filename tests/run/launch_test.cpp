// time limit: 120 s
// Whole runs under mpirun, killed, stopped and resumed. The executable is its own ranked program:
// "launch_test toy JOB OUT [--resume]" runs a job of toy.hpp.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "one_process.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/process.hpp"
#include "preimage/run/job.hpp"
#include "preimage/run/launch.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/run/manifest.hpp"
#include "run_contents.hpp"
#include "toy.hpp"

namespace preimage::run {
namespace {

namespace fs = std::filesystem;
using tests::contents;

class Toy : public testing::Test {
 protected:
  fs::path path(const std::string& name) const { return folder_.path() / name; }

  std::string write_job(const std::string& toy, const std::string& more = "") {
    const auto file = path(base::str("job", ++jobs_, ".json"));
    std::ofstream(file)
        << "{\"method\": \"toy\", \"toy\": " << toy << more
        << ", \"run\": {\"commit_interval_s\": 0.02, \"device\": \"cpu\", \"threads\": 1}}";
    return file;
  }

  std::vector<std::string> program(const std::string& job, const std::string& out) const {
    return {fs::read_symlink("/proc/self/exe"), "toy", job, path(out)};
  }

  // One rank runs without mpirun, as a user may.
  pid_t start(int ranks, const std::vector<std::string>& command,
              std::vector<std::string> environment = {}) {
    std::vector<std::string> argv;
    if (ranks > 1) argv = {"mpirun", "-n", base::str(ranks)};
    argv.insert(argv.end(), command.begin(), command.end());
    environment.push_back("OMPI_MCA_rmaps_base_oversubscribe=1");
    std::ofstream(path("stderr"));  // emptied
    const int fd = ::open(path("stderr").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    const pid_t pid = base::start_process({.argv = argv,
                                           .environment = environment,
                                           .stdout_fd = fd,
                                           .stderr_fd = fd,
                                           .own_process_group = true});
    ::close(fd);
    return pid;
  }

  // Without the grace of mpirun, which costs two seconds whenever a rank's exit code is not 0.
  int run(int ranks, const std::vector<std::string>& command) {
    const pid_t pid = start(ranks, command, {"OMPI_MCA_odls_base_sigkill_timeout=0"});
    return base::wait_process(pid).exit_code;
  }

  std::string errors() const { return base::read_file(path("stderr")); }

  // Waits until some units are committed, so that the run is in the middle.
  bool wait_for_units(const std::string& out, size_t count) const {
    for (int i = 0; i < 2000; ++i) {
      if (store::load_journal(path(out) / "journal").units.size() >= count) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  // Two ranks, killed once so many units are committed.
  void kill_at(size_t units, const std::vector<std::string>& command, const std::string& out) {
    const pid_t pid = start(2, command);
    ASSERT_TRUE(wait_for_units(out, units)) << errors();
    ::kill(-pid, SIGKILL);  // mpirun; its ranks are in groups of their own and go a little later
    base::wait_process(pid);
    for (int i = 0; i < 100 && !folder_user(path(out)).empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }

  tests::Folder folder_;
  int jobs_ = 0;
};

class Launch : public Toy {
 protected:
  Launch() { ::setenv("OMPI_MCA_odls_base_sigkill_timeout", "0", 1); }
  ~Launch() override { ::unsetenv("OMPI_MCA_odls_base_sigkill_timeout"); }
};

TEST_F(Toy, AnyNumberOfRanksGivesTheSameResults) {
  const auto job = write_job("{}");
  std::map<std::string, std::string> expected;
  for (const int ranks : {1, 2, 3, 5}) {
    const auto out = base::str("out", ranks);
    ASSERT_EQ(run(ranks, program(job, out)), 0) << errors();
    if (ranks == 1) expected = contents(path(out));
    EXPECT_EQ(contents(path(out)), expected) << ranks << " ranks";
    EXPECT_TRUE(fs::exists(path(out) / "results.h5"));
    EXPECT_EQ(read_state(path(out)).status, "done");
    EXPECT_EQ(read_state(path(out)).done, 60);
  }
  EXPECT_EQ(expected.size(), 60u);
}

TEST_F(Toy, MoreRanksThanUnits) {
  ASSERT_EQ(run(4, program(write_job(R"({"units": 2})"), "out")), 0) << errors();
  EXPECT_EQ(contents(path("out")).size(), 6u);
}

TEST_F(Toy, KilledAtSeveralMomentsItResumesToTheSameResults) {
  const auto job = write_job(R"({"sleep_ms": 8})");
  ASSERT_EQ(run(2, program(job, "whole")), 0) << errors();
  for (const size_t units : {1, 25, 45}) {
    const auto out = base::str("killed", units);
    kill_at(units, program(job, out), out);
    auto command = program(job, out);
    command.push_back("--resume");
    ASSERT_EQ(run(units == 25 ? 3 : 1, command), 0) << errors();
    EXPECT_EQ(contents(path(out)), contents(path("whole")));
    EXPECT_GE(read_state(path(out)).generation, 1);
  }
}

TEST_F(Toy, StoppedBySignalItExits75AndResumes) {
  // mpirun's own SIGTERM reaches the ranks only after one second, and SIGKILL one later.
  const auto job = write_job(R"({"sleep_ms": 100, "units": 15})");
  for (const int signal : {SIGUSR2, SIGTERM}) {
    const auto out = base::str("stopped", signal);
    const std::string grace = signal == SIGTERM ? "1" : "0";
    const pid_t pid = start(2, program(job, out), {"OMPI_MCA_odls_base_sigkill_timeout=" + grace});
    ASSERT_TRUE(wait_for_units(out, 3)) << errors();
    ::kill(pid, signal);
    const auto end = base::wait_process(pid);
    // After its own SIGTERM mpirun returns 1 whatever the ranks say; state.json knows better.
    EXPECT_EQ(end.exit_code, signal == SIGUSR2 ? 75 : 1) << errors();
    EXPECT_EQ(read_state(path(out)).status, "stopped");
    auto command = program(job, out);
    command.push_back("--resume");
    ASSERT_EQ(run(2, command), 0) << errors();
    EXPECT_EQ(contents(path(out)).size(), 45u);
  }
}

TEST_F(Toy, RefusesAnotherConfigNamingTheKeys) {
  ASSERT_EQ(run(1, program(write_job("{}"), "out")), 0) << errors();
  EXPECT_EQ(run(1, program(write_job("{}"), "out")), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("--resume"));
  auto command = program(write_job(R"({"scale": 2, "sleep_ms": 1})"), "out");
  command.push_back("--resume");
  EXPECT_EQ(run(2, command), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("config.toy.scale: 1 there, 2 here"));
  EXPECT_THAT(errors(), testing::Not(testing::HasSubstr("sleep_ms")));
}

TEST_F(Toy, RefusesASecondRunOnTheSameFolder) {
  const auto job = write_job(R"({"sleep_ms": 50})");
  const pid_t first = start(1, program(job, "out"));
  ASSERT_TRUE(wait_for_units("out", 1)) << errors();
  auto command = program(job, "out");
  command.push_back("--resume");
  EXPECT_EQ(run(1, command), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("another run is using this folder: host "));
  ::kill(first, SIGUSR2);
  EXPECT_EQ(base::wait_process(first).exit_code, 75);
}

TEST_F(Toy, BadJobsAreRefusedWithEveryError) {
  EXPECT_EQ(run(2, program(write_job(R"({"unitss": 1, "waves": -1})"), "out")), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("units"));
  EXPECT_THAT(errors(), testing::HasSubstr("waves"));
  EXPECT_EQ(run(1, program(write_job(R"({"scale": 13})"), "out")), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("unlucky"));
  EXPECT_EQ(run(1, program(write_job(R"({"file": "/nonexistent"})"), "out")), 65);
  EXPECT_THAT(errors(), testing::HasSubstr("/nonexistent"));
}

TEST_F(Toy, ASweepRunsItsCombinationsTogether) {
  const auto job = write_job("{}", R"(, "sweep": {"run.seed": [1, 2], "toy.units": [3, 4]})");
  ASSERT_EQ(run(3, program(job, "out")), 0) << errors();
  EXPECT_EQ(contents(path("out")).size(), size_t{3} * (3 + 4 + 3 + 4));
}

// Units of several combinations, which differ in cost and number: on any number of ranks, and
// killed at several moments, each gives what the job by itself gives.
TEST_F(Toy, ASweepOfUnequalUnitsIsTheSameOnAnyRanksAndAfterKills) {
  const auto job =
      write_job(R"({"sleep_ms": 1})",
                R"(, "sweep": {"run.seed": [1, 2], "toy.units": [9, 2, 5], "toy.scale": [1, 3]})");
  for (const int ranks : {1, 2, 3})
    ASSERT_EQ(run(ranks, program(job, base::str("out", ranks))), 0) << errors();
  const auto expected = contents(path("out1"));
  EXPECT_EQ(expected.size(), size_t{4} * 3 * (9 + 2 + 5));
  EXPECT_EQ(contents(path("out2")), expected);
  EXPECT_EQ(contents(path("out3")), expected);
  EXPECT_EQ(base::read_file(
                path("out3") / "combinations/run.seed=2,toy.scale=3,toy.units=5/prepared", 100),
            "3");
  auto command = program(job, "killed");
  command.push_back("--resume");
  for (const size_t units : {5, 70, 150}) kill_at(units, command, "killed");
  ASSERT_EQ(run(2, command), 0) << errors();
  EXPECT_EQ(contents(path("killed")), expected);
}

TEST_F(Toy, ASweepRefusesWhatWouldChangeNothing) {
  const auto refused = [&](const std::string& sweep) {
    EXPECT_EQ(run(1, program(write_job("{}", R"(, "sweep": )" + sweep), "refused")), 78);
    return errors();
  };
  EXPECT_THAT(
      refused(R"({"run.seed": [0, 1, 0]})"),
      testing::HasSubstr("\"run.seed\" is [0,1,0]: found 0 twice, expected different values"));
  EXPECT_THAT(refused(R"({"run.threads": [1, 2]})"),
              testing::HasSubstr("\"run.threads\" decides only where and how"));
}

TEST_F(Toy, TheWatchdogNamesASilentRank) {
  auto command = program(write_job(R"({"hang": 3})"), "out");
  command.push_back("--set=run.watchdog_s=0.5");
  EXPECT_NE(run(2, command), 0);
  EXPECT_THAT(errors(), testing::HasSubstr("no sign of life for"));
  EXPECT_EQ(read_state(path("out")).status, "failed");
}

TEST_F(Launch, LeavesAUnitOutThatKillsItsRankThreeTimes) {
  const auto job = write_job(R"({"deadly": 4, "sleep_ms": 1})");
  testing::internal::CaptureStderr();
  const int code =
      launch({.ranks = 2, .command = program(job, "out"), .out = path("out"), .backoff_s = 0.01});
  const auto text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(code, 0) << text;
  EXPECT_EQ(read_state(path("out")).quarantined, 1) << text;
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("mpirun noticed")));
  EXPECT_THAT(text, testing::HasSubstr("1 units in quarantine"));
}

TEST_F(Launch, PassesTheCodeOfABadConfigOn) {
  testing::internal::CaptureStderr();
  const int code =
      launch({.ranks = 2, .command = program(write_job(R"({"x": 1})"), "out"), .out = path("out")});
  EXPECT_EQ(code, 78);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("unknown key \"toy.x\""));
}

TEST(FolderLock, TakesOverADeadHoldersLockButNotALivingOnes) {
  const tests::Folder folder;
  {
    const FolderLock lock(folder.path());
    EXPECT_NE(folder_user(folder.path()), "");
    EXPECT_THROW(FolderLock(folder.path()), base::Error);
  }
  EXPECT_EQ(folder_user(folder.path()), "");
  base::Json holder;
  {
    const FolderLock lock(folder.path());
    holder = base::read_json(folder.path() / "lock");
  }
  const auto forge = [&](const char* key, const base::Json& value) {
    auto changed = holder;
    changed[key] = value;
    std::ofstream(folder.path() / "lock") << changed.dump();
  };
  forge("pid", 4194305);  // above every pid
  EXPECT_NO_THROW(FolderLock(folder.path()));
  forge("started", "1");  // the pid was given to another process
  EXPECT_NO_THROW(FolderLock(folder.path()));
  forge("boot", "another");
  EXPECT_NO_THROW(FolderLock(folder.path()));
  forge("host", "elsewhere");  // cannot be seen: only the lease counts
  EXPECT_THROW(FolderLock(folder.path()), base::Error);
  EXPECT_NO_THROW(FolderLock(folder.path(), {.lease_s = -1}));
  std::ofstream(folder.path() / "lock") << "torn";
  EXPECT_THROW(FolderLock(folder.path()), base::Error);
}

TEST(FolderLock, OnlyOneOfManyStartersGetsAStaleLock) {
  const tests::Folder folder;
  for (int round = 0; round < 20; ++round) {
    std::ofstream(folder.path() / "lock")
        << R"({"host": "gone", "pid": 1, "nonce": )" << round << "}";
    std::atomic<int> got = 0;
    std::atomic<int> ended = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        try {
          const FolderLock lock(folder.path(), {.lease_s = 0.0});
          ++got;
          ++ended;
          while (ended < 4) std::this_thread::yield();
        } catch (const base::Error&) {
          ++ended;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_LE(got, 1);
  }
}

TEST(BannerFilter, SwallowsTheBannerAndNamesTheRank) {
  const std::string rule(74, '-');
  BannerFilter filter;
  std::string out =
      filter.pass("hello\n" + rule + "\nmpirun noticed that process rank 2 with PID 0 on node x ");
  out += filter.pass("exited on signal 9 (Killed).\n" + rule + "\nwor");
  out += filter.pass("ld\n");
  EXPECT_EQ(out + filter.finish(), "hello\nworld\n");
  EXPECT_EQ(filter.crashed_rank(), 2);
  EXPECT_EQ(BannerFilter().crashed_rank(), -1);
}

}  // namespace
}  // namespace preimage::run

int main(int argc, char** argv) {
  using namespace preimage;
  if (argc > 1 && std::string(argv[1]) == "toy") {
    const cluster::Session session(argc, argv);
    run::JobRequest request{.job = argv[2], .out = argv[3]};
    for (int i = 4; i < argc; ++i) {
      const std::string option = argv[i];
      if (option == "--resume") request.resume = true;
      if (option.rfind("--set=", 0) == 0) request.set.push_back(option.substr(6));
    }
    return run::run_job(session, request, tests::toy_factory);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
