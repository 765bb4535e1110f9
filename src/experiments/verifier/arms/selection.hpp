// Choosing one of a problem's candidates: by energy, and by everything that an energy must beat.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace preimage::verifier {

// What the controls see of a candidate.
struct Choice {
  std::string program;
  int64_t tokens = 0;  // generated ones
  double logprob_sum = 0;
  std::string outputs;  // what it gives on the prompt's example calls; "" where it gives nothing
  std::optional<bool> passes_shown;  // the assertions in the prompt; nothing where not tried
};

// The candidate with the lowest cost. Ties are broken by a hash of (seed, program), never by place,
// so that the order of generation cannot help; equal programs have equal labels.
int64_t select_lowest(const std::vector<double>& costs, const std::vector<Choice>& choices,
                      uint64_t seed);

// The selectors that need no training, by name: shown_tests (passes the assertions in the prompt,
// which anybody who reads it can try), shortest, longest (bytes of the program), logprob_mean,
// logprob_sum (highest), majority (the largest set of equal outputs; candidates without outputs are
// chosen only where none has any).
std::vector<std::string> control_names();
std::vector<double> control_costs(const std::string& name, const std::vector<Choice>& choices);
// Costs by which every candidate that passes the shown assertions comes before every one that does
// not, and `costs` decide within both.
std::vector<double> behind_shown_tests(const std::vector<double>& costs,
                                       const std::vector<Choice>& choices);

}  // namespace preimage::verifier
