#include "preimage/base/output.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"

namespace preimage::base {
namespace {

namespace fs = std::filesystem;

constexpr int kMostLinks = 40;  // as the kernel

// The number of the open descriptor that /dev/stdout, /dev/fd/3 or /proc/self/fd/3 name, or -1.
// Opening such a name anew would lose its place in a file and fails for a socket.
int own_descriptor(const fs::path& path) {
  const auto name = path.filename().string();
  if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != name.npos)
    return -1;
  std::error_code error;
  const auto folder = fs::canonical(path.parent_path(), error).string();
  if (error || folder != str("/proc/", ::getpid(), "/fd")) return -1;
  return std::atoi(name.c_str());
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

bool names_socket(const fs::path& path) {
  std::error_code ignored;
  return fs::status(path, ignored).type() == fs::file_type::socket;
}

// A socket of the file system cannot be opened, only connected to.
int connect_to(const fs::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto name = path.string();
  if (name.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  const int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

// What a name of the command line stands for, as far as it is there.
bool stat_of(const std::string& name, int standard, struct stat& info) {
  if (name == "-") return ::fstat(standard, &info) == 0;
  const int descriptor = own_descriptor(link_target(name));
  return (descriptor >= 0 ? ::fstat(descriptor, &info) : ::stat(name.c_str(), &info)) == 0;
}

}  // namespace

void write_all(int fd, std::string_view bytes, const std::filesystem::path& path) {
  const size_t total = bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      throw errno_error(
          str(path.string(), ": writing ", total, " bytes failed after ", total - bytes.size()),
          errno);
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

fs::path link_target(const fs::path& path) {
  fs::path at = path;
  for (int links = 0; links < kMostLinks; ++links) {
    std::error_code error;
    if (own_descriptor(at) >= 0 || !fs::is_symlink(fs::symlink_status(at, error))) return at;
    const auto to = fs::read_symlink(at, error);
    if (error) return at;
    at = to.is_absolute() ? to : folder_of(at) / to;
  }
  throw errno_error(path.string(), ELOOP);
}

bool is_stream(const fs::path& target) {
  if (own_descriptor(target) >= 0) return true;
  std::error_code ignored;
  const auto status = fs::status(target, ignored);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

void refuse_same_file(const std::string& out, const std::vector<std::string>& inputs) {
  struct stat there {};
  if (!stat_of(out, STDOUT_FILENO, there) || !S_ISREG(there.st_mode)) return;
  for (const auto& input : inputs) {
    struct stat from {};
    if (input.empty() || !stat_of(input, STDIN_FILENO, from)) continue;
    if (from.st_dev != there.st_dev || from.st_ino != there.st_ino) continue;
    throw config_error(str(out == "-" ? "standard output" : out, ": is the same file as the input ",
                           input == "-" ? "(standard input)" : input,
                           "; name another file for the output"));
  }
}

void require_writable(const std::string& out) {
  if (out == "-") return;
  const auto target = link_target(out);
  if (own_descriptor(target) >= 0) return;
  std::error_code ignored;
  if (fs::is_directory(target, ignored))
    throw io_error(out + ": is a folder; a file is expected here");
  if (is_stream(target)) {
    if (::access(target.c_str(), W_OK) == 0) return;
    throw errno_error(out + ": cannot be written", errno);
  }
  const auto folder = folder_of(target);
  if (!fs::is_directory(folder, ignored))
    throw io_error(out + ": the folder " + folder.string() + " does not exist");
  if (::access(folder.c_str(), W_OK | X_OK) != 0)
    throw errno_error(out + ": the folder cannot be written", errno);
}

OutputFile::OutputFile(const std::string& out) {
  if (out == "-") {
    target_ = "standard output";
    fd_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd_ < 0) throw errno_error(target_.string() + ": cannot be written", errno);
    return;
  }
  require_writable(out);
  target_ = link_target(out);
  if (is_stream(target_)) {
    open_stream();
    return;
  }
  temporary_ = target_.string() + ".tmp";
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) throw errno_error(temporary_.string() + ": cannot be created", errno);
  struct stat old {};
  if (::stat(target_.c_str(), &old) == 0) (void)!::fchmod(fd_, old.st_mode & 07777);
}

void OutputFile::open_stream() {
  if (const int descriptor = own_descriptor(target_); descriptor >= 0) {
    fd_ = ::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  } else if (names_socket(target_)) {
    fd_ = connect_to(target_);
  } else {
    fd_ = ::open(target_.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  }
  if (fd_ < 0) throw errno_error(target_.string() + ": cannot be opened for writing", errno);
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
  if (fd_ >= 0 && !temporary_.empty()) ::unlink(temporary_.c_str());  // it was not published
}

void OutputFile::write(std::string_view bytes) {
  write_all(fd_, bytes, temporary_.empty() ? target_ : temporary_);
}

void OutputFile::publish() {
  if (!temporary_.empty()) {
    if (::fsync(fd_) != 0) throw errno_error(temporary_.string() + ": fsync failed", errno);
    if (::rename(temporary_.c_str(), target_.c_str()) != 0)
      throw errno_error(target_.string() + ": rename into place failed", errno);
    sync_path(folder_of(target_));
  }
  // Some file systems tell of a full disk only now.
  if (::close(std::exchange(fd_, -1)) != 0)
    throw errno_error(target_.string() + ": closing failed", errno);
}

void write_output(const std::string& out, std::string_view bytes) {
  OutputFile file(out);
  file.write(bytes);
  file.publish();
}

}  // namespace preimage::base
