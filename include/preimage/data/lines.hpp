// Text files of one record a line: JSON Lines and CSV, read as a stream, plain or compressed with
// gzip.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace preimage::data {

// What to do with a line that cannot be used: stop with an error, or skip and count it.
enum class BadLine { error, skip };

// Lines of a regular file without their "\n" or "\r\n". A missing final line break and blank lines
// at the end are accepted; a blank line in the middle, and a line above 64 MiB, are
// ExitCode::bad_data. A UTF-8 byte order mark at the start is dropped. A file that starts as gzip
// does is decompressed, whatever its name; one that ends early or whose checksum is wrong is
// ExitCode::bad_data.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path);
  // False at the end of the file.
  bool next(std::string& line);
  int64_t number() const { return number_; }  // of the line last read, from 1
  std::string place() const;                  // "FILE:12"

 private:
  bool read(std::string& line);
  // The next byte, or -1 at the end.
  int byte();
  struct Close {
    void operator()(void* file) const;
  };
  std::string path_;
  std::unique_ptr<void, Close> file_;  // zlib's gzFile
  std::vector<unsigned char> buffer_;
  size_t at_ = 0, end_ = 0;  // of what is in the buffer
  int64_t number_ = 0;
};

}  // namespace preimage::data
