// Training text: JSON lines of {"text"} or of {"prompt", "completion"}.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace preimage::data {

struct TrainingText {
  std::string prompt;      // read but not predicted; "" for plain text
  std::string completion;  // the text itself, or the completion
};

// Reads the whole file. Errors (ExitCode::bad_data) name file and line: not JSON, neither form, both
// forms, an empty text; an empty file.
std::vector<TrainingText> read_corpus(const std::filesystem::path& path);

}  // namespace preimage::data
