// What a run of the verifier is made of before its first unit.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "config.hpp"
#include "generation.hpp"
#include "preimage/sandbox/judge.hpp"
#include "problems.hpp"

namespace preimage::verifier {

struct Setup {
  VerifierConfig config;
  uint64_t seed = 0;
  Problems problems;                         // empty where candidates come from a file
  std::optional<eval::TextModel> generator;  // likewise
  text::Tokenizer tokenizer;                 // of the verifier
  std::function<sandbox::Judge&()> judge;    // made when the first program is to be run
};

}  // namespace preimage::verifier
