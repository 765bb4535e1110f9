// The search on an objective whose values are known in closed form: what proposals are worth apart
// from language models, and what the plan's sign does to them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/bo/acquisition.hpp"
#include "preimage/bo/gaussian_process.hpp"

namespace preimage::lipo {

struct KnownSearchOptions {
  int64_t dimensions = 64;
  int64_t relevant = 4;     // directions in which the error varies
  int64_t initial = 20;     // random points first
  int64_t iterations = 30;  // proposals after them
  // "log_ei": targets -error, best = the highest; "plan_sign": targets error, best = the lowest,
  // and the same acquisition, which then looks for high errors; "random": uniform in the box.
  std::string proposals = "log_ei";
  bo::GpOptions gp{.epochs = 300, .patience = 50};
  bo::GpOptions update{.lr = 0.001, .epochs = 100, .patience = 10};
  bo::AcquisitionOptions acquisition{.raw_samples = 256, .restarts = 8};
};

// error(z) = 1/2 - 1/2 mean over `relevant` random unit directions a of tanh(a (z - 1/2)), z in
// [0, 1]^d, directions drawn from `seed`: between 0 and 1, 1/2 at the centre; what is good lies far
// out in a direction that is to be found, as with features of an embedding.
double known_error(const std::vector<double>& z, const KnownSearchOptions& options, uint64_t seed);

struct KnownSearch {
  std::vector<double> lowest;  // [initial + iterations] lowest error so far
};
// Equal seeds have equal objectives and first points whatever the proposals are: pairs.
KnownSearch search_known_objective(const KnownSearchOptions& options, uint64_t seed);

}  // namespace preimage::lipo
