// The sandbox: `preimage-sandbox`, a process of its own without torch and MPI, and the talk with
// it.
//
//   sandbox::Supervisor supervisor = sandbox::start_supervisor();   // before MPI_Init, any thread
//   sandbox::Pool pool(supervisor, options);                        // when it is first needed
//   pool.submit({.id = "a", .program = "def f(x): return x", ...});
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "preimage/sandbox/judge.hpp"

namespace preimage::sandbox {

// How thick the walls are. `full` needs root (or CAP_SYS_ADMIN and CAP_SETUID), or subordinate
// users (newuidmap, /etc/subuid): a host uid for each slot. `user` is what an unprivileged user
// namespace gives: all namespaces, one uid for all, processes counted for each program. Chosen by
// name; never fallen back to.
enum class Level { full, user };

struct Limits {
  double cpu_s = 2;   // times the calibration factor
  double wall_s = 6;  // likewise
  int64_t memory_mb = 1024;
  int64_t output_kb = 1024;  // standard output and error together
  int64_t processes = 32;
};

// Walls that a test takes down to see the others hold. All up otherwise.
struct Walls {
  bool network = true, mount = true, pid = true, uid = true, seccomp = true, rlimits = true,
       cgroup = true, poll = true;
};

struct PoolOptions {
  Level level = Level::full;
  Limits limits;
  Walls walls;
  int workers = 0;  // programs that compute at once; 0: the cores this process may use
  int slots = 0;    // programs alive at once, sleeping ones included; 0: 16 a worker
  std::string python = "python3";  // looked up in PATH
  bool calibrate = true;           // scale the time limits to this machine
  bool self_test = true;           // refuse to score when a probe gets through
  bool confirm_timeouts = true;    // run a time-out once more alone before it counts
};

class Pool;

// The started executable, idle until a Pool opens it, which it does once. Ends with this object.
class Supervisor {
 public:
  Supervisor(Supervisor&& other) noexcept;
  Supervisor& operator=(Supervisor&&) = delete;
  ~Supervisor();
  int socket() const { return socket_; }
  pid_t pid() const { return pid_; }
  // The pool of all that share this supervisor, one after another: the combinations of a sweep.
  // Opened by the first call; throws ExitCode::bad_config where a later one asks for other options.
  Pool& pool(const PoolOptions& options);
  bool has_pool() const { return pool_ != nullptr; }

 private:
  friend Supervisor start_supervisor(const std::filesystem::path& executable);
  Supervisor(pid_t pid, int socket);
  pid_t pid_ = -1;
  int socket_ = -1;
  std::unique_ptr<Pool> pool_;
  std::string pool_options_;  // that it was opened with
};

// By posix_spawn: call it before MPI_Init and before any thread. `executable`: "" for the
// preimage-sandbox that lies beside this program. Throws ExitCode::unavailable.
Supervisor start_supervisor(const std::filesystem::path& executable = {});

class Pool : public Judge {
 public:
  // Builds the walls, tests them, calibrates: about half a second. Throws ExitCode::unavailable
  // when a wall cannot be built or does not hold, with what to do about it.
  Pool(Supervisor& supervisor, const PoolOptions& options = {});
  ~Pool() override;

  uint64_t submit(Request request) override;
  std::optional<Record> next(double timeout_s = -1) override;
  size_t pending() const override;
  base::Json description() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace preimage::sandbox
