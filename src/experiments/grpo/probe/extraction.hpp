// The extraction of directions in one basis, as a unit of work and read back.
#pragma once

#include <string>
#include <vector>

#include "basis.hpp"
#include "measure/directions.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::grpo {

// A contrast pair as tokens.
struct EncodedPair {
  Sequence hack, clean;
};

struct Extraction {
  Directions directions;
  Rows pair_gradients;  // D of the pairs that directions were made of [pairs, knobs]
};

struct ExtractionInput {
  std::string contrast;  // "hack" or "style"
  std::vector<EncodedPair> pairs;
  int64_t heldout = 0;  // of the last ones
  std::string loss;     // nll or grpo
  int64_t max_new = 1;  // Dr.GRPO's denominator
  ExtractionOptions axes;
  int64_t draws = 100;  // of the held-out pairs' null
  uint64_t seed = 0;
};

// D_p = grad NLL(hack) - grad NLL(clean), at knobs of zero. "grpo" weighs both by their tokens /
// max_new: the gradient of a group of the two with advantages +1 and -1 under Dr.GRPO's constant
// denominator; under the plan's it would be D_p itself, up to 1/G.
store::UnitOutput extract(Basis& basis, const ExtractionInput& input);

// From what such a unit left. Every rank measures with what is read, never with what it computed.
Extraction extraction_of(const store::UnitOutput& output);

}  // namespace preimage::grpo
