// time limit: 120 s
// Ranks that are stopped, folders that were lost, deleted, moved or taken, and locks of every kind.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include "preimage/run/lock.hpp"
#include "preimage/run/manifest.hpp"
#include "toy_runs.hpp"

// A file system without hard links: the library's own call comes here first.
static bool no_hard_links = false;
extern "C" int link(const char* from, const char* to) {
  if (no_hard_links) {
    errno = EPERM;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace preimage::run {
namespace {

using tests::contents;

class Faults : public Toy {};

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> out;
  std::ifstream in(base::str("/proc/", pid, "/task/", pid, "/children"));
  for (pid_t child = 0; in >> child;) out.push_back(child);
  return out;
}

TEST_F(Faults, AStoppedRankIsNoticedByTheOthers) {
  auto command = program(write_job(R"({"sleep_ms": 30, "units": 400})"), "out");
  command.push_back("--set=run.watchdog_s=1");
  const pid_t pid = start(3, command, {"OMPI_MCA_odls_base_sigkill_timeout=0"});
  ASSERT_TRUE(wait_for_units("out", 3)) << errors();
  const auto ranks = children_of(pid);
  ASSERT_EQ(ranks.size(), 3u);
  ::kill(ranks[1], SIGSTOP);
  EXPECT_NE(base::wait_process(pid).exit_code, 0);
  EXPECT_THAT(errors(),
              testing::HasSubstr(base::str(", pid ", ranks[1], ": no sign of life for ")));
  const auto state = read_state(path("out"));
  EXPECT_EQ(state.status, "failed");
  EXPECT_EQ(state.culprit, RunState::kNobody);  // no unit's fault
}

TEST_F(Faults, TimeInWhichTheWatcherSleptDoesNotCount) {
  for (const int ranks : {1, 2}) {
    const auto out = base::str("out", ranks);
    auto command = program(write_job(R"({"sleep_ms": 30, "units": 20})"), out);
    command.push_back("--set=run.watchdog_s=0.8");
    const pid_t pid = start(ranks, command);
    ASSERT_TRUE(wait_for_units(out, 3)) << errors();
    auto all = children_of(pid);
    all.push_back(pid);
    for (const pid_t each : all) ::kill(each, SIGSTOP);  // a laptop that is closed
    ::usleep(2500000);
    for (const pid_t each : all) ::kill(each, SIGCONT);
    EXPECT_EQ(base::wait_process(pid).exit_code, 0) << errors();
  }
}

// While a run slept, another host took its folder over and finished: the old one changes nothing.
TEST_F(Faults, ARunThatLostItsFolderChangesNothing) {
  const pid_t pid = start(1, program(write_job(R"({"sleep_ms": 20, "units": 100})"), "out"));
  ASSERT_TRUE(wait_for_units("out", 3)) << errors();
  ::kill(pid, SIGSTOP);
  std::ofstream(path("out/lock")) << R"({"host": "elsewhere", "pid": 7, "nonce": "b"})";
  std::ofstream(path("out/results.h5")) << "of the other";
  write_state(path("out"), {.status = "done", .generation = 1, .done = 300, .total = 300});
  const auto all_of = [&] {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path("out"))) {
      const auto name = entry.path().filename().string();
      if (entry.is_regular_file() && name != "g000-r000.jsonl" && name != "rank-000.log")
        files[entry.path()] = base::read_file(entry.path());
    }
    return files;
  };
  const auto before = all_of();
  const auto committed = contents(path("out")).size();
  ::kill(pid, SIGCONT);
  EXPECT_EQ(base::wait_process(pid).exit_code, 75) << errors();
  EXPECT_THAT(errors(),
              testing::HasSubstr("another run took this folder over (host elsewhere, pid 7)"));
  EXPECT_EQ(all_of(), before);
  EXPECT_EQ(contents(path("out")).size(), committed);
  EXPECT_EQ(read_state(path("out")).status, "done");
}

TEST_F(Faults, AJournalWithoutItsRunJsonStillKnowsItsRun) {
  const auto seeded = [&](int seed, bool resume) {
    auto command = program(write_job("{}"), "out");
    command.push_back(base::str("--set=run.seed=", seed));
    if (resume) command.push_back("--resume");
    return run(1, command);
  };
  ASSERT_EQ(seeded(1, false), 0) << errors();
  const auto results = contents(path("out"));
  fs::remove(path("out/run.json"));
  for (const bool resume : {false, true}) {
    EXPECT_EQ(seeded(2, resume), 78);
    EXPECT_THAT(errors(), testing::HasSubstr("holds 60 results of another run in its journal"));
  }
  EXPECT_EQ(seeded(1, false), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("of this run in its journal, but no run.json"));
  EXPECT_EQ(seeded(1, true), 0) << errors();
  EXPECT_EQ(contents(path("out")), results);
  // A journal file of another run that somebody brought here.
  store::JournalWriter(path("out/journal"), 7, 0, "another")
      .commit({{}, {{"id", 0, 0, "toy", {}, {{"value", 1}}}}});
  EXPECT_EQ(seeded(1, true), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("results of another run (identity another"));
}

TEST_F(Faults, ContentCountsNotItsPlace) {
  fs::create_directories(path("here"));
  std::ofstream(path("here/model")) << "weights";
  const auto job = [&](const std::string& file) {
    return program(write_job("{\"file\": \"" + path(file).string() + "\"}"), "out");
  };
  ASSERT_EQ(run(1, job("here/model")), 0) << errors();
  fs::rename(path("here"), path("there"));
  auto moved = job("there/model");
  moved.push_back("--resume");
  EXPECT_EQ(run(1, moved), 0) << errors();
  std::ofstream(path("there/model")) << "other weights";
  EXPECT_EQ(run(1, moved), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("config.toy.file.content: \""));
}

TEST_F(Faults, NamesThatARunNeedsAreTakenByOthers) {
  const auto job = write_job("{}");
  for (const auto* name : {"log", "journal", "segments"}) {
    fs::create_directories(path(base::str("with-", name)));
    std::ofstream(path(base::str("with-", name)) / name) << "x";
    EXPECT_EQ(run(1, program(job, base::str("with-", name))), 78) << name;
    EXPECT_THAT(errors(), testing::HasSubstr("found a plain file, a run needs a folder"));
  }
  for (const auto* name : {"results.h5", "state.json", "run.json", "lock"}) {
    fs::create_directories(path(base::str("with-", name)) / name);
    EXPECT_EQ(run(1, program(job, base::str("with-", name))), 78) << name;
    EXPECT_THAT(errors(), testing::HasSubstr("found a folder, a run needs a plain file"));
  }
}

TEST_F(Faults, WithoutItsJournalARunBeginsAnew) {
  const auto job = write_job("{}");
  ASSERT_EQ(run(1, program(job, "out")), 0) << errors();
  const auto results = contents(path("out"));
  fs::remove_all(path("out/journal"));
  fs::remove_all(path("out/segments"));
  auto again = program(job, "out");
  again.push_back("--resume");
  ASSERT_EQ(run(1, again), 0) << errors();
  EXPECT_EQ(contents(path("out")), results);
  const auto state = read_state(path("out"));
  EXPECT_EQ(state.status, "done");
  EXPECT_EQ(state.generation, 1);
}

// A training's state does not say whose it is.
TEST_F(Faults, StatesWithoutRunJsonAreNotTaken) {
  for (const auto* name : {"training", "combinations"}) {
    fs::create_directories(path("out") / name / "x");
    EXPECT_EQ(run(1, program(write_job("{}"), "out")), 78);
    EXPECT_THAT(errors(), testing::HasSubstr("not empty and no run.json in it"));
    fs::remove_all(path("out"));
  }
}

TEST_F(Faults, GarbageInTheEndTimeOfSlurmIsAnError) {
  const auto job = write_job("{}");
  for (const int ranks : {1, 2}) {
    const pid_t pid = start(ranks, program(job, "out"),
                            {"SLURM_JOB_END_TIME=soon", "OMPI_MCA_odls_base_sigkill_timeout=0"});
    EXPECT_EQ(base::wait_process(pid).exit_code, 78);
    EXPECT_THAT(errors(), testing::HasSubstr("SLURM_JOB_END_TIME: found \"soon\""));
  }
}

TEST_F(Faults, ThreadsAreTakenFromTheEnvironmentAndWithinReason) {
  const auto job = path("job.json");
  std::ofstream(job) << R"({"method": "toy", "toy": {"units": 1}})";
  const pid_t pid = start(1, program(job, "out"), {"OMP_NUM_THREADS=3"});
  EXPECT_EQ(base::wait_process(pid).exit_code, 0);
  EXPECT_THAT(errors(), testing::HasSubstr("3 threads each"));
  auto many = program(job, "many");
  many.push_back("--set=run.threads=4096");
  EXPECT_EQ(run(1, many), 78);
  EXPECT_THAT(errors(), testing::HasSubstr("found 4096 threads for a rank"));
}

TEST_F(Faults, MethodIsAString) {
  std::ofstream(path("job.json")) << "{\n\"method\": 5}";
  EXPECT_EQ(run(1, program(path("job.json"), "out")), 78);
  EXPECT_THAT(errors(),
              testing::HasSubstr("job.json:2: \"method\" is the number 5, expected a string"));
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

TEST(FolderLock, AnyContentIsReadAsALock) {
  const tests::Folder folder;
  for (const char* content : {R"({"host":5})", R"({"host":"x","pid":"7","boot":[]})", "[]", "5", "",
                              R"({"host":null,"pid":1e300})"}) {
    std::ofstream(folder.path() / "lock") << content;
    EXPECT_NE(folder_user(folder.path()), "") << content;
    EXPECT_THROW(FolderLock(folder.path()), base::Error) << content;  // its lease is not over
    EXPECT_NO_THROW(FolderLock(folder.path(), {.lease_s = -1})) << content;
  }
}

TEST(FolderLock, WorksWithoutHardLinks) {
  no_hard_links = true;
  const tests::Folder folder;
  {
    const FolderLock lock(folder.path());
    EXPECT_NE(folder_user(folder.path()), "");
    EXPECT_THROW(FolderLock(folder.path()), base::Error);
  }
  EXPECT_EQ(folder_user(folder.path()), "");
  std::ofstream(folder.path() / "lock") << R"({"host": "gone"})";
  EXPECT_THROW(FolderLock(folder.path()), base::Error);
  EXPECT_NO_THROW(FolderLock(folder.path(), {.lease_s = -1}));
  for (int round = 0; round < 20; ++round) {
    std::atomic<int> got = 0, ended = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        try {
          const FolderLock lock(folder.path());
          ++got, ++ended;
          while (ended < 4) std::this_thread::yield();
        } catch (const base::Error&) {
          ++ended;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(got, 1);
  }
  no_hard_links = false;
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

}  // namespace
}  // namespace preimage::run

int main(int argc, char** argv) {
  return preimage::run::toy_main(argc, argv);
}
