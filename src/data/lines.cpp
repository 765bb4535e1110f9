#include "preimage/data/lines.hpp"

#include <zlib.h>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"

namespace preimage::data {
namespace {
constexpr size_t kLineBytes = 64u << 20;
constexpr size_t kBufferBytes = 64u << 10;
}  // namespace

void LineReader::Close::operator()(void* file) const {
  gzclose(static_cast<gzFile>(file));
}

LineReader::LineReader(const std::filesystem::path& path) : path_(path.string()) {
  base::require_regular_file(path);
  file_.reset(gzopen(path.c_str(), "rb"));  // plain files pass through
  buffer_.resize(kBufferBytes);
  if (!file_) throw base::data_error(path_ + ": cannot be opened; check its permissions");
}

std::string LineReader::place() const {
  return base::str(path_, ":", number_);
}

int LineReader::byte() {
  if (at_ < end_) return buffer_[at_++];
  const auto file = static_cast<gzFile>(file_.get());
  const int count = gzread(file, buffer_.data(), static_cast<unsigned>(buffer_.size()));
  int error = Z_OK;
  const char* const text = gzerror(file, &error);
  // Z_BUF_ERROR: the compressed stream has no end.
  if (count < 0 || (count == 0 && error != Z_OK))
    throw base::data_error(base::str(path_, ": cannot be decompressed behind line ", number_, " (",
                                     text, "); fetch or make the file again"));
  at_ = 0, end_ = static_cast<size_t>(count);
  return end_ == 0 ? -1 : buffer_[at_++];
}

bool LineReader::read(std::string& line) {
  line.clear();
  int c = byte();
  if (c < 0) return false;
  ++number_;
  for (; c != '\n' && c >= 0; c = byte()) {
    if (line.size() == kLineBytes) {
      throw base::data_error(base::str(place(), ": the line is longer than ",
                                       base::human_bytes(kLineBytes),
                                       "; one record a line is expected"));
    }
    line += static_cast<char>(c);
  }
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (number_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  return true;
}

bool LineReader::next(std::string& line) {
  if (!read(line)) return false;
  if (!line.empty()) return true;
  const std::string blank = place();
  while (read(line)) {
    if (!line.empty())
      throw base::data_error(blank + ": blank line in the middle of the file; delete it");
  }
  return false;
}

}  // namespace preimage::data
