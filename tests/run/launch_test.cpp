// time limit: 120 s
// Whole runs under mpirun, killed, stopped and resumed. The executable is its own ranked program:
// "launch_test toy JOB OUT [--resume]" runs a job of toy.hpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>
#include <iterator>

#include "preimage/run/lock.hpp"
#include "preimage/run/manifest.hpp"
#include "preimage/store/inspect.hpp"
#include "toy_runs.hpp"

namespace preimage::run {
namespace {

using tests::contents;

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
  EXPECT_EQ(run(1, program(write_job(R"({"file": "/nonexistent"})"), "out")), 78);
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

// The supervisor as a process of its own: "launch_test launch OUT RANKS COMMAND...".
class Supervised : public Toy {
 protected:
  pid_t supervise(const std::string& job, const std::string& out) {
    std::vector<std::string> argv = {fs::read_symlink("/proc/self/exe"), "launch", path(out), "2"};
    const auto ranked = program(job, out);
    argv.insert(argv.end(), ranked.begin(), ranked.end());
    return start(1, argv, {"OMPI_MCA_odls_base_sigkill_timeout=1"});
  }
  // Whether every process that stands in this folder's run has gone.
  bool gone(const std::string& out) const {
    for (int i = 0; i < 200; ++i) {
      bool any = false;
      for (const auto& entry : fs::directory_iterator("/proc")) {
        std::ifstream in(entry.path() / "cmdline");
        const std::string words((std::istreambuf_iterator<char>(in)), {});
        any = any || words.find(path(out).string()) != std::string::npos;
      }
      if (!any) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
};

TEST_F(Supervised, WhateverEndsItLeavesNoRankRunning) {
  for (const int signal : {SIGKILL, SIGHUP}) {
    const auto out = base::str("out", signal);
    const pid_t pid = supervise(write_job(R"({"sleep_ms": 40, "units": 500})"), out);
    ASSERT_TRUE(wait_for_units(out, 3)) << errors();
    ::kill(pid, signal);
    const auto end = base::wait_process(pid);
    EXPECT_EQ(end.exit_code, signal == SIGKILL ? 137 : 75) << errors();
    EXPECT_TRUE(gone(out));
  }
}

TEST_F(Supervised, ASignalAtAnyMomentOfTheStartIsNotLost) {
  const auto job = write_job(R"({"sleep_ms": 40, "units": 500})");
  for (const int milliseconds : {50, 250, 450, 700, 1000}) {
    const auto out = base::str("out", milliseconds);
    const pid_t pid = supervise(job, out);
    // From the first instruction of main() on; the program itself begins earlier (main.cpp).
    while (base::read_file(path("stderr")).find("launching") == std::string::npos) ::usleep(2000);
    ::usleep(static_cast<useconds_t>(milliseconds) * 1000);
    ::kill(pid, SIGTERM);
    EXPECT_EQ(base::wait_process(pid).exit_code, 75) << milliseconds << ": " << errors();
    EXPECT_TRUE(gone(out));
  }
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
  EXPECT_THAT(text, testing::HasSubstr("done: 59 of 60 units"));
  EXPECT_THAT(text, testing::HasSubstr("1 units in quarantine"));
  std::vector<std::string> keys;
  store::read_table(path("out/results.h5"), "quarantine",
                    [&](const store::Row& row) { keys.push_back(std::get<std::string>(row[2])); });
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(base::Json::parse(keys[0])["i"], 4);

  // Mended and released, it is computed like any other.
  const auto ids = store::release_quarantine(path("out/journal"), {});
  ASSERT_EQ(ids.size(), 1u);
  auto mended = program(write_job(R"({"sleep_ms": 1})"), "out");
  mended.push_back("--resume");
  ASSERT_EQ(run(2, mended), 0) << errors();
  EXPECT_EQ(read_state(path("out")).quarantined, 0);
  EXPECT_EQ(read_state(path("out")).done, 60);
  ASSERT_EQ(run(1, program(write_job("{}"), "whole")), 0);
  EXPECT_EQ(contents(path("out")).count(ids[0]), 1u);
}

TEST_F(Launch, PassesTheCodeOfABadConfigOn) {
  testing::internal::CaptureStderr();
  const int code =
      launch({.ranks = 2, .command = program(write_job(R"({"x": 1})"), "out"), .out = path("out")});
  EXPECT_EQ(code, 78);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), testing::HasSubstr("unknown key \"toy.x\""));
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
  return preimage::run::toy_main(argc, argv);
}
