// Starts of the content vectors.
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

#include "pairs.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::dcm {

// Measured once on the embedding table of the plain tokens.
struct TableStatistics {
  at::Tensor table;  // [V, d] float32, CPU
  at::Tensor mean;   // [d], over all rows
  double rms = 0;    // root mean square of all entries
};
TableStatistics table_statistics(const lm::Model& model);

struct StartOptions {
  std::string init;     // gauss | gauss-rms | vocab | mean | text
  double sigma = 0.02;  // gauss
  uint64_t seed = 0;
};

// c [K, d] float32. Element (k, j) of restart r of a pair is a function of (seed, pair, r, init)
// alone, so a start with more slots begins with those of a smaller one.
at::Tensor start_vectors(const StartOptions& options, const Pair& pair, int64_t k, int64_t restart,
                         const TableStatistics& statistics, const Vocabulary& vocabulary);

}  // namespace preimage::dcm
