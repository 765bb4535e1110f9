#include "preimage/base/process.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "preimage/base/error.hpp"

extern char** environ;  // NOLINT: the C library declares it under a feature macro only

namespace preimage::base {
namespace {

struct SpawnActions {
  posix_spawn_file_actions_t value;
  SpawnActions() { posix_spawn_file_actions_init(&value); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&value); }
};

struct SpawnAttributes {
  posix_spawnattr_t value;
  SpawnAttributes() { posix_spawnattr_init(&value); }
  ~SpawnAttributes() { posix_spawnattr_destroy(&value); }
};

std::vector<std::string> environment_of(const ProcessOptions& options) {
  std::map<std::string, std::string> merged;
  const auto put = [&](const std::string& entry) {
    merged[entry.substr(0, entry.find('='))] = entry;
  };
  for (char** entry = environ; *entry; ++entry) put(*entry);
  std::erase_if(merged, [&](const auto& entry) {
    return std::any_of(options.removed.begin(), options.removed.end(),
                       [&](const auto& name) { return entry.first.starts_with(name); });
  });
  for (const auto& entry : options.environment) put(entry);
  std::vector<std::string> out;
  for (auto& [name, entry] : merged) out.push_back(std::move(entry));
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& list) {
  std::vector<char*> out;
  for (auto& text : list) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// What this process ignores (catch_stop_signals) is no business of a child's.
constexpr int kResetSignals[] = {SIGPIPE, SIGXFSZ};

struct Words {
  std::vector<char*> argv, envp;
};

// What posix_spawn can do.
int spawn(const ProcessOptions& options, const Words& words, pid_t& pid) {
  SpawnActions actions;
  if (options.stdin_fd < 0) {
    posix_spawn_file_actions_addopen(&actions.value, 0, "/dev/null", O_RDONLY, 0);
  } else {
    posix_spawn_file_actions_adddup2(&actions.value, options.stdin_fd, 0);
  }
  if (options.stdout_fd >= 0)
    posix_spawn_file_actions_adddup2(&actions.value, options.stdout_fd, 1);
  if (options.stderr_fd >= 0)
    posix_spawn_file_actions_adddup2(&actions.value, options.stderr_fd, 2);
  SpawnAttributes attributes;
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int signal : kResetSignals) sigaddset(&defaults, signal);
  posix_spawnattr_setsigdefault(&attributes.value, &defaults);
  short flags = POSIX_SPAWN_SETSIGDEF;
  if (options.own_process_group) {
    flags |= POSIX_SPAWN_SETPGROUP;
    posix_spawnattr_setpgroup(&attributes.value, 0);
  }
  posix_spawnattr_setflags(&attributes.value, flags);
  return ::posix_spawnp(&pid, words.argv[0], &actions.value, &attributes.value, words.argv.data(),
                        words.envp.data());
}

// Runs in the child of a vfork, in the memory of its parent, up to exec: system calls only.
void become(const ProcessOptions& options, const Words& words, pid_t parent) {
  if (options.death_signal != 0) {
    ::prctl(PR_SET_PDEATHSIG, options.death_signal);
    if (::getppid() != parent) _exit(127);  // it ended before that
  }
  const int in =
      options.stdin_fd < 0 ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : options.stdin_fd;
  ::dup2(in, 0);
  ::fcntl(0, F_SETFD, 0);  // where it was 0 already
  if (options.stdout_fd >= 0) ::dup2(options.stdout_fd, 1);
  if (options.stderr_fd >= 0) ::dup2(options.stderr_fd, 2);
  if (options.own_process_group) ::setpgid(0, 0);
  for (const int signal : kResetSignals) ::signal(signal, SIG_DFL);
  for (const int signal : options.ignored) ::signal(signal, SIG_IGN);
  ::execvpe(words.argv[0], words.argv.data(), words.envp.data());
}

[[gnu::noinline]] int vfork_and_become(const ProcessOptions& options, const Words& words,
                                       pid_t& pid) {
  volatile int error = 0;
  const pid_t parent = ::getpid();
  pid = ::vfork();
  if (pid == 0) {
    become(options, words, parent);
    error = errno;
    _exit(127);
  }
  if (pid < 0) return errno;
  if (error != 0) ::waitpid(pid, nullptr, 0);
  return error;
}

}  // namespace

pid_t start_process(const ProcessOptions& options) {
  check(!options.argv.empty(), "a process has an argv");
  auto arguments = options.argv;
  auto environment = environment_of(options);
  const Words words{pointers(arguments), pointers(environment)};
  pid_t pid = 0;
  const bool plain = options.death_signal == 0 && options.ignored.empty();
  const int error = plain ? spawn(options, words, pid) : vfork_and_become(options, words, pid);
  if (error != 0) {
    throw unavailable_error("cannot start " + options.argv[0] + ": " + std::strerror(error));
  }
  return pid;
}

ProcessEnd wait_process(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) throw errno_error("waitpid failed", errno);
  }
  if (WIFSIGNALED(status)) return {128 + WTERMSIG(status), WTERMSIG(status)};
  return {WEXITSTATUS(status), 0};
}

ProcessOutput run_and_read(const std::vector<std::string>& argv, size_t max_bytes) {
  ProcessOptions options;
  options.argv = argv;
  return run_and_read(options, max_bytes);
}

ProcessOutput run_and_read(const ProcessOptions& given, size_t max_bytes) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw errno_error("pipe failed", errno);
  const int errors = ::memfd_create("errors", MFD_CLOEXEC);  // never full: read when all is over
  auto options = given;
  options.stdout_fd = ends[1];
  options.stderr_fd = errors;
  ProcessOutput out;
  pid_t pid = 0;
  try {
    pid = start_process(options);
  } catch (...) {
    ::close(ends[0]), ::close(ends[1]), ::close(errors);
    throw;
  }
  ::close(ends[1]);
  char buffer[4096];
  for (ssize_t got; (got = ::read(ends[0], buffer, sizeof buffer)) != 0;) {
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) break;
    const size_t room = max_bytes - std::min(max_bytes, out.text.size());
    out.text.append(buffer, std::min(static_cast<size_t>(got), room));
  }
  ::close(ends[0]);
  out.end = wait_process(pid);
  out.errors.resize(4096);
  const ssize_t said = ::pread(errors, out.errors.data(), out.errors.size(), 0);
  out.errors.resize(static_cast<size_t>(std::max<ssize_t>(0, said)));
  ::close(errors);
  return out;
}

}  // namespace preimage::base
