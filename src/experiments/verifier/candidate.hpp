// A program that the generator wrote for a problem, and what is known of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::verifier {

struct Candidate {
  std::string program;
  std::string normal_form;  // equal for programs that differ in layout and comments alone
  std::string outputs;      // on the prompt's example calls; "" where not asked for or none
  int64_t tokens = 0;       // generated ones
  double logprob_sum = 0;   // nats, under the generator
  std::string stop;         // "eos", "stop" or "length"
  std::string verdict;      // "PASS", "WRONG", ... ; "INFRA" is never scored
  bool passes = false;
  double cpu_s = 0;    // measured
  std::string detail;  // of the verdict, as the sandbox says it; may name addresses and times
};

// Without what is measured.
base::Json to_json(const Candidate& candidate);
Candidate candidate_from_json(const base::Json& json);

}  // namespace preimage::verifier
