#include "candidate.hpp"

namespace preimage::verifier {

base::Json to_json(const Candidate& c) {
  return {c.program, c.normal_form, c.outputs, c.tokens, c.logprob_sum, c.stop, c.verdict};
}

Candidate candidate_from_json(const base::Json& json) {
  Candidate c;
  c.program = json.at(0);
  c.normal_form = json.at(1);
  c.outputs = json.at(2);
  c.tokens = json.at(3);
  c.logprob_sum = json.at(4);
  c.stop = json.at(5);
  c.verdict = json.at(6);
  c.passes = c.verdict == "PASS";
  return c;
}

}  // namespace preimage::verifier
