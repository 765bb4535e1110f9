#include "preimage/eval/program_prompt.hpp"

#include "preimage/text/code_block.hpp"

namespace preimage::eval {

std::string program_prompt(const ProgramPrompt& prompt, const data::ProgramProblem& problem) {
  return data::fill_prompt(prompt.pattern, problem, prompt.shown_tests);
}

std::string program_of(const ProgramPrompt& prompt, const data::ProgramProblem& problem,
                       const std::string& answer) {
  if (prompt.continues) return problem.starter + answer;
  const auto code = text::extract_code(answer);
  if (problem.form != data::TestForm::check_function) return code;
  const auto function = "def " + problem.entry_point + "(";
  if (code.find(function) == std::string::npos) return problem.starter + code;
  return problem.starter.substr(0, problem.starter.find(function)) + code;
}

}  // namespace preimage::eval
