// A program that a model wrote for a problem, and what is known of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "preimage/sandbox/program.hpp"

namespace preimage::eval {

struct ProgramCandidate {
  std::string program;
  std::string normal_form;  // equal for programs that differ in layout and comments alone
  std::string outputs;      // on the prompt's example calls; "" where not asked for or none
  int64_t tokens = 0;       // generated ones
  double logprob_sum = 0;   // nats, under the generator
  std::string stop;         // "eos", "stop" or "length"
  // Of the sandbox; nothing where the label came with the program. `infra` is never scored.
  std::optional<sandbox::Verdict> verdict;
  bool passes = false;
  // Whether it passes the assertions that the prompt shows; nothing where they were not tried.
  std::optional<bool> passes_shown;
  double cpu_s = 0;    // measured
  std::string detail;  // of the verdict, as the sandbox says it; may name addresses and times
};

}  // namespace preimage::eval
