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
  int64_t relevant = 16;    // directions in which the error varies
  int64_t initial = 20;     // random points first
  int64_t iterations = 30;  // proposals after them
  // "log_ei": targets -error, best = the highest; "plan_sign": targets error, best = the lowest,
  // and the same acquisition, which then looks for high errors; "random": uniform in the box.
  std::string proposals = "log_ei";
  bo::GpOptions gp{.epochs = 300, .patience = 50};
  bo::GpOptions update{.lr = 0.001, .epochs = 100, .patience = 10};
  bo::AcquisitionOptions acquisition{.raw_samples = 256, .restarts = 8};
};

// error(z) = 1 - exp(-4 / relevant sum over random unit directions a of (a (z - c))^2), z in
// [0, 1]^d, directions and optimum c (each coordinate 0.1 or 0.9) drawn from `seed`: between 0 and
// 1, 0 at c.
double known_error(const std::vector<double>& z, const KnownSearchOptions& options, uint64_t seed);

struct KnownSearch {
  std::vector<double> lowest;  // [initial + iterations] lowest error so far
};
// Equal seeds have equal objectives and first points whatever the proposals are: pairs.
KnownSearch search_known_objective(const KnownSearchOptions& options, uint64_t seed);

}  // namespace preimage::lipo
