// What a rank of the sweep computes with: the policy's model, its adapter, the directions, and the
// sandbox behind the rewards.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "preimage/run/experiment.hpp"
#include "setup.hpp"
#include "sweep/search.hpp"

namespace preimage::grpo {

// D_p = grad NLL(hack) - grad NLL(clean) of each pair, at the adapter's present knobs, in mean
// losses; from them the directions, and random ones (orthonormal Gaussian rows by (seed, module))
// with as many rows in each module. The same bits on every rank.
SweepDirections make_sweep_directions(const lm::Model& base, const lm::LiveAdapter& adapter,
                                      const std::vector<EncodedPair>& pairs,
                                      const ExtractionOptions& axes, uint64_t seed);

// The sweep of a run. Directions are made of the pairs before the held-out ones.
std::unique_ptr<run::Search> make_sweep(run::Context& context, std::shared_ptr<const Setup> setup);

run::Estimate sweep_estimate(const GrpoConfig& config);

}  // namespace preimage::grpo
