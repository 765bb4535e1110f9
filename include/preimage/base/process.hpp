// Starting child processes: by posix_spawn, or by vfork for what it cannot do; neither copies this
// process. Nothing forks after MPI, CUDA or OpenMP have started.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace preimage::base {

struct ProcessOptions {
  std::vector<std::string> argv;         // argv[0] is looked up in PATH
  std::vector<std::string> environment;  // "NAME=value", added to (or replacing) the parent's
  std::vector<std::string> removed;      // beginnings of names that the child does not get
  int stdin_fd = -1;                     // -1: /dev/null
  int stdout_fd = -1;                    // -1: inherited
  int stderr_fd = -1;
  bool own_process_group = false;
  int death_signal = 0;      // sent to the child when this thread ends, however it ends; 0: none
  std::vector<int> ignored;  // signals that the child ignores until it says otherwise
};

// How a child ended: its exit code, or the signal that ended it (then exit_code is 128 + signal).
struct ProcessEnd {
  int exit_code = 0;
  int signal = 0;
};

// Throws ExitCode::unavailable when the program cannot be started.
pid_t start_process(const ProcessOptions& options);
ProcessEnd wait_process(pid_t pid);

struct ProcessOutput {
  ProcessEnd end;
  std::string text;    // standard output, the first `max_bytes`
  std::string errors;  // standard error, the first 4 KiB
};

// Runs a short command and returns what it printed. The options' own descriptors are not used.
ProcessOutput run_and_read(const ProcessOptions& options, size_t max_bytes = 1 << 20);
ProcessOutput run_and_read(const std::vector<std::string>& argv, size_t max_bytes = 1 << 20);

}  // namespace preimage::base
