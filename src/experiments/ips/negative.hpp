// Prompts that must not be accepted (Stage 6), and the control that must.
#pragma once

#include <string>
#include <vector>

#include "setup.hpp"

namespace preimage::ips {

struct NegativeTest {
  int64_t target = 0;
  std::string test;  // too_short, noise, copy, print_target, print_bare, wrong_target, case,
                     // white_space; positive
  std::string prompt;
};

// An accepted prompt of a target.
struct GoodPrompt {
  int64_t target = 0;
  std::string text;
};

// For each target: the first tokens of its good prompt and nothing at all, random tokens, the
// target and its beginning, requests to print either or nothing, the target in capitals and without
// its layout; good prompts of other targets, one pair after another, until there are
// `config.decide.false_pairs`; and every good prompt once more, as control.
std::vector<NegativeTest> negative_tests(const Setup& setup, const std::vector<GoodPrompt>& good);

// Whether the test came out as it must: a control is accepted; everything else is not, and by one
// of the rules that are there for it.
bool as_expected(const NegativeTest& test, const Verdict& verdict);

}  // namespace preimage::ips
