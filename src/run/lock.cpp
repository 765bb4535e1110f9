#include "preimage/run/lock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <fstream>
#include <random>
#include <sstream>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::run {
namespace {

namespace fs = std::filesystem;
using base::str;

std::string first_line_of(const fs::path& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

std::string whole(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string host_name() {
  char name[256] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

std::string boot_id() {
  return first_line_of("/proc/sys/kernel/random/boot_id");
}

std::string pid_namespace() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/ns/pid", ignored).string();
}

// When the process began, in clock ticks since boot (field 22 of stat); "" when there is none.
// Tells a process from a later one with the same number.
std::string start_of(int64_t pid) {
  const std::string stat = first_line_of(str("/proc/", pid, "/stat"));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return "";
  std::istringstream rest(stat.substr(name_end + 2));
  std::string field;
  for (int i = 3; i <= 22 && rest >> field; ++i) {
    if (i == 3 && field == "Z") return "";  // a zombie does nothing any more
  }
  return field;
}

base::Json own_holder() {
  std::random_device random;
  return {{"host", host_name()},
          {"boot", boot_id()},
          {"pid_namespace", pid_namespace()},
          {"pid", ::getpid()},
          {"started", start_of(::getpid())},
          {"nonce", str(random(), random())}};
}

// Age by the file system's own clock: both times come from the same server.
double age_s(const fs::path& file, const fs::path& just_written) {
  struct stat then {};
  struct stat now {};
  if (::stat(file.c_str(), &then) != 0 || ::stat(just_written.c_str(), &now) != 0) return 0;
  const auto seconds = [](const struct stat& s) {
    return static_cast<double>(s.st_mtim.tv_sec) + 1e-9 * static_cast<double>(s.st_mtim.tv_nsec);
  };
  return seconds(now) - seconds(then);
}

bool holder_is_gone(const base::Json& holder, double age, double lease_s) {
  if (!holder.is_object()) return age > lease_s;  // torn by a crash of the machine
  if (holder.value("host", "") == host_name()) {
    if (holder.value("boot", "") != boot_id()) return true;
    if (holder.value("pid_namespace", "") == pid_namespace()) {
      const auto started = start_of(holder.value("pid", int64_t{0}));
      return started.empty() || started != holder.value("started", "");
    }
  }
  return age > lease_s;
}

std::string shown(const base::Json& holder, double age) {
  const auto known = holder.is_object() ? holder : base::Json::object();
  return str("host ", known.value("host", "?"), ", pid ", known.value("pid", int64_t{0}),
             ", last sign of life ", base::human_seconds(std::max(0.0, age)), " ago");
}

void write_new(const fs::path& path, const std::string& content) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) throw base::errno_error(path.string() + ": cannot create the run's lock", errno);
  const ssize_t written = ::write(fd, content.data(), content.size());
  const int error = errno;
  ::close(fd);
  if (written == static_cast<ssize_t>(content.size())) return;
  ::unlink(path.c_str());
  throw base::errno_error(path.string() + ": cannot write the run's lock",
                          written < 0 ? error : ENOSPC);
}

}  // namespace

FolderLock::FolderLock(const fs::path& folder, const LockOptions& options)
    : path_(folder / "lock"), options_(options), content_(own_holder().dump()) {
  std::string holder;
  if (!try_acquire(holder)) {
    throw base::config_error(path_.string() + ": another run is using this folder: " + holder +
                             "; wait for it, stop it, or choose another --out");
  }
  renewer_ = std::thread([this] { renew(); });
}

FolderLock::~FolderLock() {
  {
    const std::lock_guard guard(mutex_);
    leaving_ = true;
  }
  wake_.notify_all();
  renewer_.join();
  if (whole(path_) == content_) ::unlink(path_.c_str());
}

bool FolderLock::try_acquire(std::string& holder) {
  const fs::path mine = str(path_.string(), ".", host_name(), ".", ::getpid());
  write_new(mine, content_);
  bool ours = ::link(mine.c_str(), path_.c_str()) == 0;
  const int error = errno;
  if (!ours && error == EEXIST) {
    const std::string found = whole(path_);
    const double age = age_s(path_, mine);
    const auto parsed = base::Json::parse(found, nullptr, false);
    if (holder_is_gone(parsed, age, options_.lease_s)) {
      ours = take_over(found, mine);
    }
    holder = shown(parsed, age);
  }
  ::unlink(mine.c_str());
  if (!ours && error != EEXIST)
    throw base::errno_error(path_.string() + ": cannot create the lock", error);
  return ours;
}

// Several starters may judge the same lock stale. Only the one that creates the token for exactly
// this stale content, and still finds that content, may replace it.
bool FolderLock::take_over(const std::string& stale, const fs::path& mine) {
  const fs::path token = str(path_.string(), ".takeover-", std::hash<std::string>{}(stale));
  if (::link(mine.c_str(), token.c_str()) != 0) {
    if (age_s(token, mine) > options_.lease_s) ::unlink(token.c_str());  // its maker died half way
    return false;
  }
  const bool ours = whole(path_) == stale && ::rename(mine.c_str(), path_.c_str()) == 0;
  ::unlink(token.c_str());
  return ours;
}

void FolderLock::renew() {
  std::unique_lock guard(mutex_);
  const auto pause = std::chrono::duration<double>(options_.renew_s);
  while (!wake_.wait_for(guard, pause, [this] { return leaving_; })) {
    if (whole(path_) != content_) {
      if (options_.on_lost) options_.on_lost();
      return;
    }
    ::utimensat(AT_FDCWD, path_.c_str(), nullptr, 0);
  }
}

std::string folder_user(const fs::path& folder, double lease_s) {
  const fs::path path = folder / "lock";
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return "";
  const double age = static_cast<double>(std::time(nullptr) - info.st_mtim.tv_sec);
  const auto holder = base::Json::parse(whole(path), nullptr, false);
  return holder_is_gone(holder, age, lease_s) ? "" : shown(holder, age);
}

}  // namespace preimage::run
