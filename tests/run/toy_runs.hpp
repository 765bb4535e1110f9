// Whole toy runs as processes of their own, killed, stopped and resumed. The test's executable is
// its own ranked program ("TEST toy JOB OUT [--resume] [--set=...]") and its own supervisor ("TEST
// launch OUT RANKS COMMAND..."): its main() calls toy_main.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "one_process.hpp"
#include "preimage/base/budget.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/process.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/job.hpp"
#include "preimage/run/launch.hpp"
#include "preimage/store/journal.hpp"
#include "run_contents.hpp"
#include "toy.hpp"

namespace preimage::run {

namespace fs = std::filesystem;

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

inline int toy_main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  if (command == "toy") {
    const cluster::Session session(argc, argv);
    JobRequest request{.job = argv[2], .out = argv[3]};
    for (int i = 4; i < argc; ++i) {
      const std::string option = argv[i];
      if (option == "--resume") request.resume = true;
      if (option.rfind("--set=", 0) == 0) request.set.push_back(option.substr(6));
    }
    return run_job(session, request, tests::toy_factory);
  }
  if (command == "launch") {
    base::catch_stop_signals();
    std::cerr << "launching" << std::endl;
    return launch(
        {.ranks = std::atoi(argv[3]), .command = {argv + 4, argv + argc}, .out = argv[2]});
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

}  // namespace preimage::run
