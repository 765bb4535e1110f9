// `preimage judge`: programs in, verdicts out, by the sandbox alone (no model, no MPI).
#pragma once

#include <string>
#include <vector>

#include "preimage/sandbox/pool.hpp"

namespace preimage::lines {

struct JudgeOptions {
  std::string in = "-", out = "-";  // "-": standard input, standard output
  bool skip_bad_lines = false;
  bool strict = false;  // a field that is near a known one is an error of its line, not a warning
  bool resume = false;  // go on behind what the file `out` holds
  std::vector<std::string> fields;  // of the record, in this order; empty: all
  std::string exclude;              // a file of ids, one a line, that are left out; "": none
  bool require_pass = false;        // references: name each program that does not pass, and fail
  sandbox::PoolOptions pool;
};

// Judges every line and writes the records in the order of the input, each as soon as it and those
// before it are judged. Returns the exit code: 0, or 65 when references were required to pass and
// one did not. Throws base::Error.
int run_judge(const JudgeOptions& options);

}  // namespace preimage::lines
