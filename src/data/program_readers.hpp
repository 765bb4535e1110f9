// The reader of each kind of problem set, and what they share.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/data/programs.hpp"

namespace preimage::data {

// Takes in problems one by one; refuses duplicate ids, empty texts and problems without a test.
class ProblemCollector {
 public:
  void add(ProgramProblem problem);
  // Throws when there is no problem at all; `path` for the message.
  std::vector<ProgramProblem> finish(const std::filesystem::path& path);

 private:
  std::vector<ProgramProblem> problems_;
  std::unordered_map<std::string, std::string> places_;  // by id
};

// "\r\n" and a lone "\r" become "\n".
std::string unix_lines(const std::string& text);

// An array of strings, each with unix_lines.
std::vector<std::string> strings_of(const base::JsonNode& array);

// Throws unless each is an assert statement; sets the entry point from the first.
void take_assertions(const base::JsonNode& record, const std::string& key, ProgramProblem& problem);

std::vector<ProgramProblem> read_mbpp(const ProgramsOptions& options);
std::vector<ProgramProblem> read_mbpp_sanitized(const ProgramsOptions& options);
std::vector<ProgramProblem> read_humaneval(const ProgramsOptions& options);
std::vector<ProgramProblem> read_leetcode(const ProgramsOptions& options);

}  // namespace preimage::data
