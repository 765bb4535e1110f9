// The problems of a run, split, checked for leaks, with the prompts that generator and verifier
// read.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/base/log.hpp"
#include "preimage/data/programs.hpp"
#include "problem_choice.hpp"

namespace preimage::verifier {

struct Problem {
  std::string id;
  Split split = Split::train;
  std::string prompt;  // of the verifier; the generator's is made of `source`
  data::ProgramProblem source;
};

struct Problems {
  std::vector<Problem> list;       // train, validation and test, each in the order of its file
  std::vector<std::string> notes;  // counts and what was left out, for the log
};

// From the published sets that the config names. ExitCode::bad_data for a malformed file, an id of
// `exclude` that is not there, and a split without a problem.
Problems load_problems(const VerifierConfig& config, uint64_t seed);

}  // namespace preimage::verifier
