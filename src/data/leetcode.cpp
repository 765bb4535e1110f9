// LeetCode-style problems in the format of ariahw/rl-rewardhacking: a class with one method, tested
// by many assert statements.
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"
#include "program_readers.hpp"

namespace preimage::data {
namespace {

constexpr size_t kShown = 3;  // tests that a prompt may show; the published prompts show none

void split_tests(std::vector<std::string> all, ProgramProblem& problem) {
  const size_t shown = std::min(kShown, all.size());
  problem.tests.assign(all.begin(), all.begin() + static_cast<ptrdiff_t>(shown));
  problem.hidden_tests.assign(all.begin() + static_cast<ptrdiff_t>(shown), all.end());
}

}  // namespace

std::vector<ProgramProblem> read_leetcode(const ProgramsOptions& options) {
  LineReader lines(options.path);
  ProblemCollector out;
  base::JsonLimits limits;
  limits.max_bytes = 64u << 20;  // hundreds of asserts with long arguments
  std::string line;
  while (lines.next(line)) {
    const base::Json json = base::parse_json(line, options.path.string(), limits, lines.number());
    const base::JsonNode record(json, lines.place());
    ProgramProblem problem;
    problem.place = record.place();
    problem.id = std::to_string(record.at("id").integer(0));
    problem.split = options.split;
    problem.group = record.string_or("difficulty", "");
    problem.text = unix_lines(record.at("question").string());
    problem.entry_point = record.at("func_name").string();
    problem.setup_before = unix_lines(record.string_or("setup_code", ""));
    problem.reference = unix_lines(record.at("canonical_solution").string());
    if (const auto more = record.find("prompt_metadata"))
      problem.starter = unix_lines(more->string_or("starter_code", ""));
    const auto tests = record.at("gt_answer");
    auto all = strings_of(tests);
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].find("assert ") == std::string::npos ||
          all[i].find(problem.entry_point + "(") == std::string::npos) {
        tests.at(i).fail(base::str("expected an assert statement that calls ", problem.entry_point,
                                   ", found ", all[i].substr(0, 60)));
      }
    }
    split_tests(std::move(all), problem);
    out.add(std::move(problem));
  }
  return out.finish(options.path);
}

}  // namespace preimage::data
