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

// What a lock says of its holder. Empty where it says nothing, or something else than it should: a
// crash of the machine, or a file of others.
struct Holder {
  std::string host, boot, pid_namespace, started;
  int64_t pid = 0;
};

Holder holder_from(const std::string& content) {
  const auto json = base::Json::parse(content, nullptr, false);
  const auto text = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string()
               ? json[key].get<std::string>()
               : "";
  };
  Holder out{text("host"), text("boot"), text("pid_namespace"), text("started")};
  if (json.is_object() && json.contains("pid") && json["pid"].is_number_integer())
    out.pid = json["pid"];
  return out;
}

bool holder_is_gone(const Holder& holder, double age, double lease_s) {
  if (!holder.host.empty() && holder.host == host_name()) {
    if (holder.boot != boot_id()) return true;
    if (holder.pid_namespace == pid_namespace()) {
      const auto started = start_of(holder.pid);
      return started.empty() || started != holder.started;
    }
  }
  return age > lease_s;
}

std::string shown(const Holder& holder, double age) {
  return str("host ", holder.host.empty() ? "?" : holder.host, ", pid ", holder.pid,
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

// Makes `path` with this content; false with errno EEXIST where it is there already. A hard link of
// `mine` is the one way that every network file system does at one stroke; file systems without
// (exFAT, SMB, 9p) create it exclusively: whoever reads in between finds an empty lock, which
// counts as held until its lease is over.
bool create_alone(const fs::path& mine, const fs::path& path, const std::string& content) {
  if (::link(mine.c_str(), path.c_str()) == 0) return true;
  if (errno == EEXIST) return false;
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  ssize_t written = ::write(fd, content.data(), content.size());
  if (::close(fd) != 0) written = -1;
  if (written == static_cast<ssize_t>(content.size())) return true;
  const int error = written < 0 ? errno : ENOSPC;
  ::unlink(path.c_str());
  errno = error;
  return false;
}

}  // namespace

FolderClaim::FolderClaim(const fs::path& folder, std::string content)
    : path_(folder / "lock"), content_(std::move(content)) {}

bool FolderClaim::held() const {
  if (content_.empty()) return true;
  struct stat info {};
  // A file system that does not answer for a moment has not given the folder away.
  if (::stat(path_.c_str(), &info) != 0) return errno != ENOENT;
  return whole(path_) == content_;
}

void FolderClaim::require_held() const {
  if (held()) return;
  const auto now = whole(path_);
  const auto who = now.empty()
                       ? std::string("which has ended since")
                       : str("host ", holder_from(now).host, ", pid ", holder_from(now).pid);
  throw base::Error(base::ExitCode::stopped,
                    str(path_.parent_path().string(), ": another run took this folder over (", who,
                        ") while this one showed no sign of life; this one changes nothing there"));
}

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
  bool ours = create_alone(mine, path_, content_);
  const int error = errno;
  if (!ours && error == EEXIST) {
    const std::string found = whole(path_);
    const double age = age_s(path_, mine);
    const auto known = holder_from(found);
    if (holder_is_gone(known, age, options_.lease_s)) ours = take_over(found, mine);
    holder = shown(known, age);
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
  if (!create_alone(mine, token, content_)) {
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
  const auto holder = holder_from(whole(path));
  return holder_is_gone(holder, age, lease_s) ? "" : shown(holder, age);
}

}  // namespace preimage::run
