#include "preimage/data/programs.hpp"

#include <algorithm>
#include <array>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "program_readers.hpp"

namespace preimage::data {
namespace {

using Reader = std::vector<ProgramProblem> (*)(const ProgramsOptions&);

const std::map<std::string, Reader>& readers() {
  static const std::map<std::string, Reader> table = {
      {"humaneval", read_humaneval},
      {"leetcode", read_leetcode},
      {"mbpp", read_mbpp},
      {"mbpp_sanitized", read_mbpp_sanitized},
  };
  return table;
}

bool word_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// "def name" or "async def name" at the left margin.
bool defines(const std::string& program, const std::string& name) {
  const std::string definition = "def " + name;
  for (size_t at = program.find(definition); at != std::string::npos;
       at = program.find(definition, at + 1)) {
    const size_t end = at + definition.size();
    const bool left = at == 0 || program[at - 1] == '\n' ||
                      (at >= 6 && program.compare(at - 6, 6, "async ") == 0 &&
                       (at == 6 || program[at - 7] == '\n'));
    if (left && end < program.size() && !word_byte(program[end])) return true;
  }
  return false;
}

}  // namespace

std::string unix_lines(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::vector<std::string> strings_of(const base::JsonNode& array) {
  std::vector<std::string> out;
  for (size_t i = 0; i < array.size(); ++i) out.push_back(unix_lines(array.at(i).string()));
  return out;
}

void take_assertions(const base::JsonNode& record, const std::string& key,
                     ProgramProblem& problem) {
  const auto tests = record.at(key);
  problem.tests = strings_of(tests);
  for (size_t i = 0; i < problem.tests.size(); ++i) {
    if (problem.tests[i].find("assert") == std::string::npos)
      tests.at(i).fail("expected an assert statement, found " + problem.tests[i].substr(0, 60));
    if (problem.entry_point.empty())
      problem.entry_point = entry_point_of(problem.tests[i], problem.reference);
  }
  if (problem.entry_point.empty()) {
    tests.fail(base::str("task ", problem.id,
                         ": no test calls a function that \"code\" defines, so the entry point is "
                         "unknown"));
  }
}

void ProblemCollector::add(ProgramProblem problem) {
  const std::string& place = problem.place;
  if (problem.id.empty()) throw base::data_error(place + ": empty task_id");
  const char* empty = problem.text.empty()          ? "text"
                      : problem.reference.empty()   ? "reference program"
                      : problem.entry_point.empty() ? "entry point"
                                                    : nullptr;
  if (empty != nullptr)
    throw base::data_error(base::str(place, ": problem ", problem.id, " has an empty ", empty));
  if (problem.tests.empty() && problem.check_code.empty())
    throw base::data_error(base::str(place, ": problem ", problem.id, " has no test"));
  const auto [first, inserted] = places_.emplace(problem.id, place);
  if (!inserted) {
    throw base::data_error(base::str(place, ": problem ", problem.id,
                                     " appears a second time, first at ", first->second,
                                     "; ids must differ"));
  }
  problems_.push_back(std::move(problem));
}

std::vector<ProgramProblem> ProblemCollector::finish(const std::filesystem::path& path) {
  if (problems_.empty()) throw base::data_error(path.string() + ": holds no problem");
  return std::move(problems_);
}

std::vector<std::string> program_kinds() {
  std::vector<std::string> out;
  for (const auto& [kind, reader] : readers()) out.push_back(kind);
  return out;
}

std::vector<ProgramProblem> read_programs(const ProgramsOptions& options) {
  const auto found = readers().find(options.kind);
  if (found == readers().end()) {
    throw base::config_error(
        base::str("problem set kind \"", options.kind,
                  "\" is unknown; supported: ", base::join(program_kinds(), ", ")));
  }
  return found->second(options);
}

std::string entry_point_of(const std::string& assertion, const std::string& program) {
  for (size_t at = 0; at < assertion.size(); ++at) {
    if (!word_byte(assertion[at])) continue;
    size_t end = at;
    while (end < assertion.size() && word_byte(assertion[end])) ++end;
    const std::string name = assertion.substr(at, end - at);
    while (end < assertion.size() && assertion[end] == ' ') ++end;
    if (end < assertion.size() && assertion[end] == '(' && defines(program, name)) return name;
    at = end - 1;
  }
  return "";
}

std::map<std::string, int64_t> count_splits(const std::vector<ProgramProblem>& problems) {
  std::map<std::string, int64_t> out;
  for (const auto& problem : problems) ++out[problem.split];
  return out;
}

std::string fill_prompt(const std::string& pattern, const ProgramProblem& problem, int64_t shown) {
  auto tests = problem.tests;
  if (shown >= 0 && shown < static_cast<int64_t>(tests.size())) tests.resize(shown);
  const std::array<std::pair<std::string, std::string>, 4> fields = {{
      {"{text}", problem.text},
      {"{tests}", base::join(tests, "\n")},
      {"{starter}", problem.starter},
      {"{entry_point}", problem.entry_point},
  }};
  std::string out;
  for (size_t at = 0; at < pattern.size();) {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const auto& one) {
      return pattern.compare(at, one.first.size(), one.first) == 0;
    });
    out += field == fields.end() ? pattern.substr(at, 1) : field->second;
    at += field == fields.end() ? 1 : field->first.size();
  }
  return out;
}

}  // namespace preimage::data
