// Scrambled Sobol points: low-discrepancy points in a box, keyed by Philox.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "preimage/base/random.hpp"

namespace preimage::bo {

inline constexpr int64_t sobol_max_dimensions = 21201;

// The first `count` points (at most 2^30) of Sobol's sequence in [0, 1)^d in Gray-code order, the
// origin first, with 30 bits and the direction numbers of Joe and Kuo ("Constructing Sobol
// sequences with better two-dimensional projections", SIAM J. Sci. Comput. 30(5), 2008; set
// new-joe-kuo-6.21201, as ATen carries it). Returns [count, d] double.
at::Tensor sobol_points(int64_t count, int64_t dimensions);

// The same after linear matrix scrambling and a digital shift (Matousek, J. Complexity 14, 1998),
// drawn from `random`: each point is uniform in [0, 1)^d, each power-of-two block stays balanced.
at::Tensor scrambled_sobol_points(int64_t count, int64_t dimensions,
                                  const base::RandomStream& random);

}  // namespace preimage::bo
