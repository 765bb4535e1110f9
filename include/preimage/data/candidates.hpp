// Labelled candidate programs as JSON Lines, so that a verifier can be trained from a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/base/file.hpp"

namespace preimage::data {

// One line {"prompt", "code", "label"}, and optionally "problem", "split", "candidate".
struct Candidate {
  std::string prompt;
  std::string code;
  bool pass = false;    // "label"; written as 1 or 0; true, false, "PASS" and "FAIL" are read too
  std::string problem;  // id of what candidates share; when absent, one of its own per prompt
  std::string split;    // "" if unknown
  int64_t index = 0;    // "candidate": within the problem; when absent, counted by order
  bool operator==(const Candidate&) const = default;
};

// In the order of the file. ExitCode::bad_data with file and line for malformed records, empty
// prompts, other labels, a (problem, candidate) that appears twice, a problem with two prompts or
// in two splits, and an empty file. An empty code is a candidate like any other (it fails).
std::vector<Candidate> read_candidates(const std::filesystem::path& path);

// Appends one line per candidate. Text must be UTF-8 (ExitCode::bug).
class CandidateWriter {
 public:
  explicit CandidateWriter(const std::filesystem::path& path) : file_(path) {}
  void write(const Candidate& candidate);
  void sync() { file_.sync(); }

 private:
  base::AppendFile file_;
};

}  // namespace preimage::data
