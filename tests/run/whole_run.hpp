// Whole runs of a method as processes of their own, alone or under mpirun, killed and resumed. The
// test's executable is its own ranked program: main() calls whole_run_main.
//
//   tests::WholeRuns runs;                                      // a folder, gone at the end
//   EXPECT_EQ(runs.wait(runs.start(3, "out", "job.json")), 0) << runs.errors();
//   EXPECT_EQ(tests::values_of(runs.path("out")), ...);
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>

#include <bit>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include "preimage/base/file.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/run/job.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/store/inspect.hpp"
#include "preimage/store/journal.hpp"
#include "run/one_process.hpp"

namespace preimage::tests {

// Rows of a table as JSON by column, measured columns left out. Numbers keep all their bits.
inline std::vector<base::Json> rows_of(const std::filesystem::path& file,
                                       const store::TableInfo& table) {
  std::vector<base::Json> rows;
  store::read_table(file, table.name, [&](const store::Row& row) {
    auto out = base::Json::object();
    for (size_t c = 0; c < row.size(); ++c) {
      const auto& column = table.schema.columns[c];
      if (column.measured) continue;
      std::visit([&](const auto& cell) { out[column.name] = cell; }, row[c]);
    }
    rows.push_back(out);
  });
  return rows;
}

inline std::vector<base::Json> rows_of(const std::filesystem::path& out, const std::string& name) {
  for (const auto& table : store::inspect_file(out / "results.h5").tables) {
    if (table.name == name) return rows_of(out / "results.h5", table);
  }
  ADD_FAILURE() << "no table " << name;
  return {};
}

// Table or tensor of results.h5 -> its values as text.
inline std::map<std::string, std::string> values_of(const std::filesystem::path& out) {
  const auto file = out / "results.h5";
  const auto info = store::inspect_file(file);
  std::map<std::string, std::string> values;
  for (const auto& table : info.tables) {
    for (const auto& row : rows_of(file, table)) values[table.name] += row.dump() + "\n";
  }
  for (const auto& tensor : info.tensors) {
    auto& text = values[tensor.name];
    for (const int64_t size : tensor.shape) text += base::str(size, " ");
    if (tensor.name.rfind("index/", 0) == 0) continue;
    for (const float value : store::read_tensor({file, tensor.name}).values) {
      text += base::str(std::bit_cast<uint32_t>(value), " ");
    }
  }
  return values;
}

class WholeRuns {
 public:
  std::filesystem::path path(const std::string& name) const { return folder_.path() / name; }
  // What the last one printed.
  std::string errors() const { return base::read_file(path("stderr")); }
  size_t committed(const std::string& out) const {
    return store::load_journal(path(out) / "journal").units.size();
  }

  // A process group of its own. It goes on where OUT holds a part of the run.
  pid_t start(int ranks, const std::string& out, const std::string& job = "job.json") const {
    std::vector<std::string> argv;
    if (ranks > 1) argv = {"mpirun", "-n", base::str(ranks)};
    for (const auto& word : {std::filesystem::read_symlink("/proc/self/exe").string(),
                             std::string("run"), path(job).string(), path(out).string()}) {
      argv.push_back(word);
    }
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

  static int wait(pid_t pid) { return base::wait_process(pid).exit_code; }

  // The processes below one, mpirun's ranks.
  static std::vector<pid_t> descendants(pid_t pid) {
    std::vector<pid_t> all;
    std::ifstream children(base::str("/proc/", pid, "/task/", pid, "/children"));
    for (pid_t child = 0; children >> child;) {
      all.push_back(child);
      for (const pid_t further : descendants(child)) all.push_back(further);
    }
    return all;
  }

  // kill -9 of all of it, and waits until no rank is left. The ranks are in groups of their own and
  // would go on for a while after mpirun's.
  void kill(pid_t pid, const std::string& out) const {
    for (const pid_t child : descendants(pid)) ::kill(child, SIGKILL);
    ::kill(-pid, SIGKILL);
    base::wait_process(pid);
    for (int i = 0; i < 200 && !run::folder_user(path(out)).empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }

 private:
  Folder folder_;
};

// "TEST run JOB OUT" runs a job of this one method; anything else runs the tests.
template <typename Method>
int whole_run_main(int argc, char** argv, const std::string& name) {
  if (argc > 3 && std::string(argv[1]) == "run") {
    const cluster::Session session(argc, argv);
    const run::JobRequest request{.job = argv[2], .out = argv[3], .resume = true};
    return run::run_job(session, request,
                        [&](const std::string& method) -> std::unique_ptr<run::Experiment> {
                          if (method != name) return nullptr;
                          return std::make_unique<Method>();
                        });
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

}  // namespace preimage::tests
