// A sandbox for tests, and what it leaves behind on the host.
//
// The tests need root, or at least user namespaces. Where neither is to be had they fail, with the
// advice that a user gets; nothing passes unseen. "level: full" or "level: user" says what was
// tested.
#pragma once

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/sandbox/pool.hpp"

namespace preimage::sandbox::tests {

namespace fs = std::filesystem;
using base::Json;

inline fs::path executable() {
  return fs::read_symlink("/proc/self/exe").parent_path().parent_path() / "preimage-sandbox";
}

// The best level that this machine gives.
inline Level available_level() {
  return ::geteuid() == 0 ? Level::full : Level::user;
}

inline PoolOptions quick_options() {
  PoolOptions options;
  options.level = available_level();
  options.calibrate = false;
  options.self_test = false;
  return options;
}

struct Opened {
  explicit Opened(const PoolOptions& options = quick_options())
      : supervisor(start_supervisor(executable())), pool(supervisor, options) {}

  Record judge(Request request) {
    pool.submit(std::move(request));
    return pool.next().value();
  }

  Supervisor supervisor;
  Pool pool;
};

// f(x) is x + 1.
inline Request request(const std::string& program) {
  Request request;
  request.id = "p";
  request.program = program;
  request.entry_point = "f";
  auto tests = Json::array();
  for (const int x : {1, 5, 9}) tests.push_back({{"args", {x}}, {"expected", x + 1}});
  request.tests = tests.dump();
  return request;
}

inline Request asserting(const std::string& program, const std::vector<std::string>& tests,
                         const std::string& setup = "") {
  Request request;
  request.id = "p";
  request.program = program;
  request.assert_tests = tests;
  request.setup = setup;
  return request;
}

// Processes below `root`.
inline std::vector<pid_t> descendants(pid_t root) {
  std::vector<pid_t> found = {root};
  for (size_t i = 0; i < found.size(); ++i) {
    std::error_code gone;
    for (const auto& task :
         fs::directory_iterator("/proc/" + std::to_string(found[i]) + "/task", gone)) {
      std::ifstream children(task.path() / "children");
      for (pid_t child = 0; children >> child;) found.push_back(child);
    }
  }
  found.erase(found.begin());
  return found;
}

inline size_t open_descriptors(pid_t pid) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry :
       fs::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
    ++count;
  return count;
}

inline int64_t resident_kb(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  }
  return 0;
}

}  // namespace preimage::sandbox::tests
