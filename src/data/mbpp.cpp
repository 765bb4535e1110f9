// MBPP (Austin et al., "Program Synthesis with Large Language Models", 2021): the full set, JSON
// Lines with "text", and the sanitized one, a JSON array with "prompt".
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"
#include "program_readers.hpp"
#include "readers.hpp"

namespace preimage::data {
namespace {

constexpr int64_t kLastTask = 974;

ProgramProblem common_fields(const base::JsonNode& record, const std::string& text_key) {
  ProgramProblem out;
  out.place = record.place();
  const int64_t id = record.at("task_id").integer(1, kLastTask);
  out.id = std::to_string(id);
  out.split = mbpp_split(id);
  out.text = unix_lines(record.at(text_key).string());
  out.reference = unix_lines(record.at("code").string());
  take_assertions(record, "test_list", out);
  return out;
}

}  // namespace

std::string mbpp_split(int64_t task_id) {
  if (task_id < 1 || task_id > kLastTask) return "";
  return task_id <= 10    ? "prompt"
         : task_id <= 510 ? "test"
         : task_id <= 600 ? "validation"
                          : "train";
}

std::vector<ProgramProblem> read_mbpp(const ProgramsOptions& options) {
  LineReader lines(options.path);
  ProblemCollector out;
  std::string line;
  while (lines.next(line)) {
    const base::Json json = base::parse_json(line, options.path.string(), {}, lines.number());
    const base::JsonNode record(json, lines.place());
    auto problem = common_fields(record, "text");
    problem.group = record.string_or("kind", "");
    // Set-up code builds objects of the candidate's own classes (367, 927): it comes after.
    problem.setup_after = unix_lines(record.string_or("test_setup_code", ""));
    // Published results count test_list alone; sets of our own (with a kind) hide tests here.
    if (const auto challenge = record.find("challenge_test_list")) {
      auto hidden = strings_of(*challenge);
      if (!problem.group.empty()) problem.hidden_tests = std::move(hidden);
    }
    out.add(std::move(problem));
  }
  return out.finish(options.path);
}

std::vector<ProgramProblem> read_mbpp_sanitized(const ProgramsOptions& options) {
  const base::Json document = read_document(options.path);
  const base::JsonNode records(document, options.path.string());
  ProblemCollector out;
  for (size_t i = 0; i < records.size(); ++i) {
    const auto record = records.at(i);
    auto problem = common_fields(record, "prompt");
    problem.group = record.string_or("source_file", "");
    if (const auto imports = record.find("test_imports"))
      problem.setup_before = base::join(strings_of(*imports), "\n");
    out.add(std::move(problem));
  }
  return out.finish(options.path);
}

}  // namespace preimage::data
