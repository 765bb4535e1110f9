// Training text: JSON Lines of {"text"} or of {"prompt", "completion"}.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "preimage/data/lines.hpp"

namespace preimage::data {

struct TrainingText {
  std::string prompt;      // "" for plain text
  std::string completion;  // what is to be learnt: the plain text, or what follows the prompt
  bool operator==(const TrainingText&) const = default;
};

// One record after the other, in constant memory. Other keys of a record are passed over. Throws
// ExitCode::bad_data with file and line for malformed JSON, a record that holds neither form or
// both, and an empty text.
class CorpusReader {
 public:
  explicit CorpusReader(const std::filesystem::path& path, BadLine on_bad_line = BadLine::error);
  std::optional<TrainingText> next();
  int64_t bad_lines() const { return bad_lines_; }

 private:
  LineReader lines_;
  std::string path_;
  BadLine on_bad_line_;
  int64_t bad_lines_ = 0;
};

// The whole file, which may have no bad line (CorpusReader can skip them). A file without any
// record is ExitCode::bad_data.
std::vector<TrainingText> read_corpus(const std::filesystem::path& path);

}  // namespace preimage::data
