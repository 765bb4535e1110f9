#include "supervisor/zygote.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "supervisor/worker_sources.hpp"
#include "walls/root_fs.hpp"

namespace preimage::sandbox {
namespace {

using base::Json;

constexpr uint32_t kUsersOfRole = 512;
constexpr uint32_t kUsersOfSupervisor = 2 * kUsersOfRole;

base::Error forbidden(const std::string& what) {
  return base::unavailable_error(
      "sandbox: " + what + ": " + std::strerror(errno) +
      "; --level full needs root (in a container CAP_SYS_ADMIN, CAP_SETUID and no seccomp profile "
      "that forbids mount); --level user needs user namespaces: sysctl user.max_user_namespaces, "
      "kernel.unprivileged_userns_clone=1, and where AppArmor restricts them "
      "kernel.apparmor_restrict_unprivileged_userns=0");
}

void write_map(const std::string& process, const char* file, const std::string& text) {
  const Descriptor map(::open((process + file).c_str(), O_WRONLY | O_CLOEXEC));
  if (!map || ::write(map.get(), text.data(), text.size()) < 0) {
    throw forbidden("writing " + process + file);
  }
}

// A process in new namespaces; 0 in the child. Raw, since it goes on alone from here.
pid_t clone_into(unsigned long flags) {
  const long pid = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid < 0) throw forbidden("clone into new namespaces");
  return static_cast<pid_t>(pid);
}

bool debugging() {
  return ::getenv("PREIMAGE_SANDBOX_DEBUG") != nullptr;
}

// Both are the interpreter's: it hears the supervisor by one, and until it is ready it says to the
// other why it cannot be.
struct Ends {
  int control = -1, said = -1;
};

// The interpreter's own life, inside all outer walls. `control` becomes descriptor 3.
[[noreturn]] void run_interpreter(const Ends& ends) {
  if (::dup2(ends.control, 3) < 0) throw forbidden("dup2");
  const int null = ::open("/dev/null", O_RDWR);
  ::dup2(null, 0);
  if (!debugging()) {
    ::dup2(null, 1);
    ::dup2(ends.said, 2);
  }
  ::syscall(SYS_close_range, 4u, ~0u, 0u);
  std::string libraries = base::str("LD_LIBRARY_PATH=", kInsideLibraries);
  const bool own = ::access(kInsideLibraries, F_OK) == 0;
  std::string script = std::string(kInsideWorker) + "/zygote.py";
  std::string path = kInsidePython, hash = "PYTHONHASHSEED=0", utf8 = "PYTHONUTF8=1",
              bind = "LD_BIND_NOW=1";
  char* const argv[] = {path.data(), const_cast<char*>("-SsPB"), script.data(), nullptr};
  char* const environment[] = {hash.data(), utf8.data(), bind.data(),
                               own ? libraries.data() : nullptr, nullptr};
  ::execve(path.c_str(), argv, environment);
  throw forbidden("starting " + path + " inside the sandbox");
}

// Between the supervisor and the interpreter: enters the root while it still may, makes the last
// namespaces and maps their users. Writes the interpreter's process id to `report`.
void build_walls(const ZygoteOptions& options, const Ends& ends, int report) {
  const auto users = user_range(options.role);
  const Descriptor processes(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET;
  if (!options.walls.network) flags &= ~static_cast<unsigned long>(CLONE_NEWNET);
  if (options.level == Level::full) {
    flags |= CLONE_NEWUSER;
    if (::unshare(CLONE_NEWNS) != 0) throw forbidden("a mount namespace");
  } else {
    const auto user = ::geteuid(), group = ::getegid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) throw forbidden("a user namespace");
    write_map("/proc/self/", "setgroups", "deny");
    write_map("/proc/self/", "uid_map", base::str("0 ", user, " 1"));
    write_map("/proc/self/", "gid_map", base::str("0 ", group, " 1"));
  }
  RootOptions root{options.python, options.role == Role::candidate, worker_sources()};
  if (options.walls.mount) enter_root(root);
  auto mapped = make_pipe();
  const pid_t pid = clone_into(flags);
  if (pid == 0) {
    mapped.second.reset();  // or it would wait for ever where its parent fails
    char go;
    if (::read(mapped.first.get(), &go, 1) != 1) ::_exit(1);
    if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0) throw forbidden("setresuid");
    run_interpreter(ends);
  }
  if (options.level == Level::full) {
    for (const char* name : {"uid_map", "gid_map"}) {
      const auto file = base::str(pid, "/", name),
                 text = base::str("0 ", users.first, " ", users.count);
      const Descriptor map(::openat(processes.get(), file.c_str(), O_WRONLY | O_CLOEXEC));
      if (!map || ::write(map.get(), text.data(), text.size()) < 0)
        throw forbidden("mapping users " + text);
    }
  }
  const auto text = std::to_string(pid);
  if (::write(mapped.second.get(), "1", 1) != 1 || ::write(report, text.data(), text.size()) < 0)
    throw forbidden("write");
}

// Runs `work` in a fork; what it throws comes back as text through the pipe.
std::string in_fork(const std::function<void(int report)>& work) {
  auto report = make_pipe();
  const pid_t pid = ::fork();
  if (pid < 0) throw base::errno_error("sandbox: fork failed", errno);
  if (pid == 0) {
    try {
      work(report.second.get());
      ::_exit(0);
    } catch (const std::exception& error) {
      const std::string text = error.what();
      [[maybe_unused]] const auto wrote = ::write(report.second.get(), text.data(), text.size());
      ::_exit(1);
    }
  }
  report.second.reset();
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = ::read(report.first.get(), buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<size_t>(got));
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) throw base::unavailable_error(text);
  return text;
}

Json settings(const ZygoteOptions& options) {
  const auto& walls = options.walls;
  return {{"role", options.role == Role::candidate ? "candidate" : "judge"},
          {"mapped", options.level == Level::full},
          {"walls",
           {{"network", walls.network},
            {"mount", walls.mount},
            {"pid", walls.pid},
            {"uid", walls.uid},
            {"seccomp", walls.seccomp},
            {"rlimits", walls.rlimits}}},
          {"memory_mb", options.limits.memory_mb},
          {"processes", options.limits.processes},
          {"debug", debugging()},
          {"file_mb", 32},
          {"scratch", "size=64m,nr_inodes=4096,mode=0700,uid=%d"}};
}

}  // namespace

UserRange user_range(Role role) {
  // One line for each range: first inside, first outside, count.
  std::ifstream map("/proc/self/uid_map");
  uint64_t first = 0, outside = 0, count = 0, widest = 0, base = 0;
  while (map >> first >> outside >> count) {
    if (count > widest) widest = count, base = first;
  }
  const uint64_t half = widest / 2, places = half / kUsersOfSupervisor;
  if (places == 0)
    throw base::unavailable_error(base::str("sandbox: this user namespace maps ", widest,
                                            " users, and --level full needs ",
                                            2 * kUsersOfSupervisor, "; use --level user"));
  const uint64_t place = static_cast<uint64_t>(::getpid()) % places;
  return {static_cast<uint32_t>(base + half + place * kUsersOfSupervisor +
                                (role == Role::judge ? kUsersOfRole : 0)),
          kUsersOfRole};
}

Zygote start_zygote(const ZygoteOptions& options) {
  if (options.level == Level::full && ::geteuid() != 0) {
    errno = EPERM;
    throw forbidden("not root");
  }
  auto control = make_sockets(SOCK_SEQPACKET);
  const auto filter = compile_filter({options.role, options.keep_child_signal});
  const Descriptor processes(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  const Descriptor said(::memfd_create("said", MFD_CLOEXEC));
  const Ends ends{control.second.get(), said.get()};
  Zygote zygote;
  const auto report = in_fork([&](int to) { build_walls(options, ends, to); });
  size_t digits = 0;
  zygote.pid = std::stoi(report, &digits);
  zygote.control = std::move(control.first);
  control.second.reset();
  if (digits < report.size()) {  // what went wrong after its walls stood
    ::waitpid(zygote.pid, nullptr, 0);
    throw base::unavailable_error(report.substr(digits));
  }
  std::vector<int> descriptors = {filter.get()};
  if (options.level == Level::user) descriptors.push_back(processes.get());
  send_packet(zygote.control.get(), settings(options).dump(), descriptors);
  bool empty = false;
  const auto answer = receive_packet(zygote.control.get(), empty);
  if (answer.text.empty()) {
    ::waitpid(zygote.pid, nullptr, 0);
    std::string printed(64 << 10, '\0');
    const ssize_t got = ::pread(said.get(), printed.data(), printed.size(), 0);
    printed.resize(static_cast<size_t>(std::max<ssize_t>(0, got)));
    throw base::unavailable_error("sandbox: the interpreter " + options.python.executable +
                                  " did not start inside the walls" + what_it_said(printed) +
                                  "; another one is named with --python");
  }
  return zygote;
}

}  // namespace preimage::sandbox
