#include "preimage/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "preimage/base/error.hpp"
#include "preimage/base/output.hpp"
#include "preimage/base/str.hpp"

namespace preimage::base {
namespace {

struct Fd {
  int value;
  ~Fd() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

void require_regular_file(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    throw data_error(path.string() + ": no such file; check the path");
  }
  if (!std::filesystem::is_regular_file(status)) {
    throw data_error(path.string() + ": not a regular file; a plain file is expected here");
  }
}

void require_named_file(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  if (!std::filesystem::exists(status))
    throw config_error(path.string() + ": no such file; check the path");
  if (std::filesystem::is_directory(status))
    throw config_error(path.string() + ": is a folder; a file is expected here");
}

std::string read_file(const std::filesystem::path& path, uint64_t max_bytes) {
  require_regular_file(path);
  // Not blocking: a FIFO may have taken the place of the file since it was looked at.
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (fd.value < 0)
    throw data_error(errno_error(path.string() + ": cannot be opened", errno).what());
  struct stat info {};
  if (::fstat(fd.value, &info) != 0) throw errno_error(path.string() + ": stat failed", errno);
  if (!S_ISREG(info.st_mode)) throw data_error(path.string() + ": not a regular file");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > max_bytes) {
    throw data_error(str(path.string(), ": ", human_bytes(size),
                         ", the limit for this kind of file is ", human_bytes(max_bytes)));
  }
  std::string out(size, '\0');
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t got = ::read(fd.value, out.data() + filled, out.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw errno_error(path.string() + ": read failed", errno);
    if (got == 0) throw data_error(path.string() + ": the file became shorter while it was read");
    filled += static_cast<size_t>(got);
  }
  return out;
}

void sync_path(const std::filesystem::path& path) {
  const Fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (fd.value < 0) throw errno_error(path.string() + ": cannot be opened to be synced", errno);
  // Some file systems answer EINVAL for folders: they need no sync there.
  if (::fsync(fd.value) != 0 && errno != EINVAL)
    throw errno_error(path.string() + ": fsync failed", errno);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  try {
    const Fd fd{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
    if (fd.value < 0) throw errno_error(temporary.string() + ": cannot be created", errno);
    write_all(fd.value, bytes, temporary);
    if (::fsync(fd.value) != 0) throw errno_error(temporary.string() + ": fsync failed", errno);
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      throw errno_error(path.string() + ": rename into place failed", errno);
    }
  } catch (const Error&) {
    ::unlink(temporary.c_str());  // a full disk needs the room
    throw;
  }
  sync_path(path.has_parent_path() ? path.parent_path() : std::filesystem::path("."));
}

AppendFile::AppendFile(const std::filesystem::path& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) throw errno_error(path.string() + ": cannot be opened for appending", errno);
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

void AppendFile::append(std::string_view bytes) {
  struct stat before {};
  if (::fstat(fd_, &before) != 0) throw errno_error(path_.string() + ": stat failed", errno);
  try {
    write_all(fd_, bytes, path_);
  } catch (const Error&) {
    // Half a line would spoil the next one. Cutting a file needs no room.
    if (::ftruncate(fd_, before.st_size) != 0)
      throw io_error(path_.string() + ": half a line remains");
    throw;
  }
}

void AppendFile::sync() {
  if (::fdatasync(fd_) != 0) throw errno_error(path_.string() + ": fdatasync failed", errno);
}

}  // namespace preimage::base
