// From a programming problem to the prompt of a model, and from its answer to a program.
#pragma once

#include <cstdint>
#include <string>

#include "preimage/data/programs.hpp"

namespace preimage::eval {

struct ProgramPrompt {
  std::string pattern = "{text}\n{tests}";  // with {text}, {tests}, {starter}, {entry_point}
  int64_t shown_tests = -1;                 // in {tests}; -1: all
  bool continues = false;  // the program is the problem's starter with the answer behind it
};

// The prompt in words.
std::string program_prompt(const ProgramPrompt& prompt, const data::ProgramProblem& problem);

// The program in an answer: its first fenced block, or all of it; behind the starter code where the
// answer continues it. HumanEval: behind the starter's imports and helpers where the answer writes
// the whole function again.
std::string program_of(const ProgramPrompt& prompt, const data::ProgramProblem& problem,
                       const std::string& answer);

}  // namespace preimage::eval
