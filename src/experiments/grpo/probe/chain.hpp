// One pass over the groups in one basis: measured, projected, and in the trained pass stepped.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "arm.hpp"
#include "basis.hpp"
#include "extraction.hpp"
#include "group.hpp"
#include "preimage/store/schema.hpp"

namespace preimage::grpo {

// A chain is a unit of work: its steps depend on each other, and take seconds each. A frozen pass
// serves all arms of its basis, whose gradients are the same.
struct ChainKey {
  std::string basis, pass;
  std::vector<std::string> arms;  // trained: one
};
std::vector<ChainKey> chain_keys(const ProbeConfig& config);

struct ChainInput {
  ChainKey key;
  const GrpoConfig* config = nullptr;
  const std::vector<ProbeGroup>* groups = nullptr;
  const Extraction* extraction = nullptr;
  const Directions* style = nullptr;  // null: none
  uint64_t seed = 0;
  std::function<bool()> stopping;  // asked before each step
};

// Rows of grpo/samples, grpo/steps, grpo/module_types, grpo/nulls and grpo/null_tests, and the
// knobs. Nothing where it was told to stop.
std::optional<store::UnitOutput> run_chain(Basis& basis, const ChainInput& input);

}  // namespace preimage::grpo
