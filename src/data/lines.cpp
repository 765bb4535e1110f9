#include "preimage/data/lines.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"

namespace preimage::data {
namespace {
constexpr size_t kLineBytes = 64u << 20;
}

LineReader::LineReader(const std::filesystem::path& path) : path_(path.string()) {
  base::require_regular_file(path);
  file_.open(path, std::ios::binary);
  if (!file_) throw base::data_error(path_ + ": cannot be opened; check its permissions");
}

std::string LineReader::place() const {
  return base::str(path_, ":", number_);
}

bool LineReader::read(std::string& line) {
  line.clear();
  std::streambuf& buffer = *file_.rdbuf();
  int c = buffer.sbumpc();
  if (c == std::char_traits<char>::eof()) return false;
  ++number_;
  for (; c != '\n' && c != std::char_traits<char>::eof(); c = buffer.sbumpc()) {
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
