#include "walls/subordinate.hpp"

#include <pwd.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "preimage/base/error.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"
#include "supervisor/descriptor.hpp"

namespace preimage::sandbox {
namespace {

base::Error missing(const std::string& what) {
  return base::unavailable_error(
      "sandbox: --level full needs root, or subordinate users: " + what +
      "; install the package uidmap and give yourself a range (usermod --add-subuids "
      "100000-165535 --add-subgids 100000-165535 USER), or ask for --level user");
}

struct SubordinateRange {
  uint64_t first = 0, count = 0;
};

// The widest range of "USER:FIRST:COUNT" lines (man 5 subuid); a user stands there by name or uid.
SubordinateRange subordinate_range(const char* file) {
  const passwd* user = ::getpwuid(::geteuid());
  const auto number = std::to_string(::geteuid());
  SubordinateRange widest;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string owner;
    SubordinateRange range;
    char colon = 0;
    std::getline(fields, owner, ':');
    fields >> range.first >> colon >> range.count;
    const bool ours = owner == number || (user != nullptr && owner == user->pw_name);
    if (ours && fields && range.count > widest.count) widest = range;
  }
  if (widest.count == 0) throw missing(base::str(file, " has no range for user ", number));
  return widest;
}

// Runs in a fork that stayed outside: `target` has its own namespace by then.
void map_users(const char* tool, pid_t target, uint64_t own, const SubordinateRange& range) {
  const auto pid =
      base::start_process({.argv = {tool, base::str(target), "0", base::str(own), "1", "1",
                                    base::str(range.first), base::str(range.count)}});
  const auto end = base::wait_process(pid);
  if (end.exit_code != 0) throw missing(base::str(tool, " failed with code ", end.exit_code));
}

}  // namespace

bool enter_subordinate_users() {
  if (::geteuid() == 0) return false;
  const auto users = subordinate_range("/etc/subuid"), groups = subordinate_range("/etc/subgid");
  const auto target = ::getpid();
  const auto user = ::geteuid();
  const auto group = ::getegid();
  auto go = make_pipe(), said = make_pipe();
  const pid_t helper = ::fork();
  if (helper < 0) throw base::errno_error("sandbox: fork failed", errno);
  if (helper == 0) {
    go.second.reset();
    std::string text;
    char byte = 0;
    if (::read(go.first.get(), &byte, 1) != 1) ::_exit(1);
    try {
      map_users("newuidmap", target, user, users);
      map_users("newgidmap", target, group, groups);
    } catch (const std::exception& error) {
      text = error.what();
    }
    [[maybe_unused]] const auto wrote = ::write(said.second.get(), text.data(), text.size());
    ::_exit(0);
  }
  said.second.reset();
  std::string text;
  if (::unshare(CLONE_NEWUSER) != 0) {
    text = missing(base::str("a user namespace: ", std::strerror(errno))).what();
    go.second.reset();
  } else if (::write(go.second.get(), "1", 1) == 1) {
    char buffer[1024];
    for (ssize_t got; (got = ::read(said.first.get(), buffer, sizeof buffer)) > 0;)
      text.append(buffer, static_cast<size_t>(got));
  }
  ::waitpid(helper, nullptr, 0);
  if (!text.empty()) throw base::unavailable_error(text);
  if (::setresgid(0, 0, 0) != 0 || ::setresuid(0, 0, 0) != 0)
    throw missing(base::str("becoming their root: ", std::strerror(errno)));
  return true;
}

}  // namespace preimage::sandbox
