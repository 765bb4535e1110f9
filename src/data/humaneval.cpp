// HumanEval (Chen et al., "Evaluating Large Language Models Trained on Code", 2021).
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/lines.hpp"
#include "program_readers.hpp"

namespace preimage::data {

std::vector<ProgramProblem> read_humaneval(const ProgramsOptions& options) {
  LineReader lines(options.path);
  ProblemCollector out;
  std::string line;
  while (lines.next(line)) {
    const base::Json json = base::parse_json(line, options.path.string(), {}, lines.number());
    const base::JsonNode record(json, lines.place());
    ProgramProblem problem;
    problem.place = record.place();
    problem.id = record.at("task_id").string();
    problem.split = "test";
    problem.form = TestForm::check_function;
    problem.starter = problem.text = unix_lines(record.at("prompt").string());
    problem.entry_point = record.at("entry_point").string();
    problem.reference = problem.starter + unix_lines(record.at("canonical_solution").string());
    problem.check_code = unix_lines(record.at("test").string());
    if (problem.check_code.find("def check(") == std::string::npos)
      record.at("test").fail("defines no check(candidate)");
    if (problem.starter.find("def " + problem.entry_point + "(") == std::string::npos) {
      record.at("entry_point")
          .fail(base::str("\"", problem.entry_point, "\" is no function of the prompt"));
    }
    out.add(std::move(problem));
  }
  return out.finish(options.path);
}

}  // namespace preimage::data
