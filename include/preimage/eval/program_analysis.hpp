// What is asked of the sandbox beside verdicts: which programs are the same but for layout, and
// what a program gives on the calls that the prompt shows.
#pragma once

#include <string>
#include <vector>

#include "preimage/data/programs.hpp"
#include "preimage/sandbox/program.hpp"

namespace preimage::eval {

// The verdict of `program` on all tests of the problem, hidden ones included.
sandbox::Request verdict_request(const data::ProgramProblem& problem, const std::string& program);

// The verdict on the first `shown` of the problem's assertions alone (-1: all that a prompt may
// show): what whoever reads the prompt can find out by himself. Not for test form check_function.
sandbox::Request shown_request(const data::ProgramProblem& problem, const std::string& program,
                               int64_t shown);

// Normal forms of programs by Python's own `ast`, computed inside the sandbox: a hash of the syntax
// tree, so that layout, comments and quotes do not count; of the text without white space where the
// program does not parse.
sandbox::Request normal_forms_request(const std::vector<std::string>& programs);
// One for each program; falls back to the text without white space where the record has none.
std::vector<std::string> normal_forms(const sandbox::Record& record,
                                      const std::vector<std::string>& programs);

// What the program gives on the example calls of the problem's shown assertions. The program itself
// reports it: good for grouping programs by behaviour, never for a verdict.
sandbox::Request outputs_request(const data::ProgramProblem& problem, const std::string& program);
std::string outputs(const sandbox::Record& record);  // "" where there are none

}  // namespace preimage::eval
