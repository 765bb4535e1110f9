// `preimage judge`: programs in, verdicts out, by the sandbox alone (no model, no MPI).
#pragma once

#include <string>

#include "preimage/sandbox/pool.hpp"

namespace preimage::tools {

struct JudgeOptions {
  std::string in = "-", out = "-";  // "-": standard input, standard output
  bool skip_bad_lines = false;
  std::string exclude;        // a file of ids, one a line, that are left out; "": none
  bool require_pass = false;  // references: name each program that does not pass, and fail
  sandbox::PoolOptions pool;
};

// Judges every line and writes the records in the order of the input. Returns the exit code: 0, or
// 65 when references were required to pass and one did not. Throws base::Error.
int run_judge(const JudgeOptions& options);

}  // namespace preimage::tools
