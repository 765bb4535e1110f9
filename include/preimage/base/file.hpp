// Files: bounded reading of regular files, and writing that no kill can leave half done.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace preimage::base {

// The whole file. Refuses anything but a regular file (FIFO, device, folder) and files above
// `max_bytes`: ExitCode::bad_data; a missing or unreadable one too. I/O failure: ExitCode::io.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = UINT64_MAX);

// Throws ExitCode::bad_data unless `path` is a regular file (links are followed).
void require_regular_file(const std::filesystem::path& path);

// For a path that the command line or the job names: throws ExitCode::bad_config unless a file is
// there. (A wrong content is ExitCode::bad_data.)
void require_named_file(const std::filesystem::path& path);

// Writes path + ".tmp", fsyncs it, renames it over `path` and fsyncs the folder. ExitCode::io.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

// fsync of a file (or folder) by name. ExitCode::io.
void sync_path(const std::filesystem::path& path);

// A file that only grows: a kill leaves at most one torn last line; an append that fails (disk
// full) leaves the file as it was.
class AppendFile {
 public:
  explicit AppendFile(const std::filesystem::path& path);  // creates it when missing
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  void append(std::string_view bytes);  // ExitCode::io on error, with the file's name
  void sync();

 private:
  std::filesystem::path path_;
  int fd_ = -1;
};

}  // namespace preimage::base
