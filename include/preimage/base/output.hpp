// Where a command's result goes: a plain file, standard output, or a device, pipe or socket that is
// already there. Every command that writes what a user names goes through here.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::base {

// All of `bytes` to an open file, whatever write(2) takes at once. ExitCode::io naming `path`.
void write_all(int fd, std::string_view bytes, const std::filesystem::path& path);

// The file that `path` means: links are followed to their end, also where nothing is there yet.
// ExitCode::io where links lead in a circle.
std::filesystem::path link_target(const std::filesystem::path& path);

// Whether bytes are to be written into what is there (device, FIFO, socket, an open descriptor such
// as /dev/stdout) rather than to a file of their own.
bool is_stream(const std::filesystem::path& target);

// Throws ExitCode::bad_config when writing `out` ("-": standard output) would destroy one of
// `inputs` ("-": standard input): the same file, by whatever name.
void refuse_same_file(const std::string& out, const std::vector<std::string>& inputs);

// Throws ExitCode::io unless `out` can be written: before anything runs.
void require_writable(const std::string& out);

// A plain file (links followed) is replaced whole at publish(), with the permissions that it had;
// until then, and after an error, the old one stays. Standard output ("-") and streams get the
// bytes at once. All errors are ExitCode::io.
class OutputFile {
 public:
  explicit OutputFile(const std::string& out);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  void write(std::string_view bytes);
  void publish();

 private:
  void open_stream();
  std::filesystem::path target_, temporary_;  // no temporary: a stream
  int fd_ = -1;
};

// OutputFile for one text.
void write_output(const std::string& out, std::string_view bytes);

}  // namespace preimage::base
