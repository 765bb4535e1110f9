#include "checkpoint/residual.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

// How much of the space beyond the first r directions may be left after the iterations: far below
// what a float32 product of a layer rounds.
constexpr double kUnsettled = 1e-4;

// Each iteration of the randomized method (Halko, Martinsson and Tropp 2011, algorithm 4.4) shrinks
// what is left of direction r + 1 by the square of the ratio of the singular values.
void require_settled(const at::Tensor& values, const ResidualOptions& options) {
  const int64_t rank = options.rank, iterations = options.change.iterations;
  if (rank >= values.size(0)) return;
  const double kept = values[rank - 1].item<double>(), next = values[rank].item<double>();
  const double left = kept > 0 ? std::pow(next / kept, 2 * static_cast<double>(iterations) + 1) : 1;
  if (left <= kUnsettled) return;
  throw base::data_error(base::str(
      options.place, ": PEFT decomposes this weight with random numbers, and ", iterations,
      " iterations do not settle (singular values ", kept, " and ", next, " around r ", rank,
      "): each loading gives another model; save the adapter with "
      "path_initial_model_for_weight_conversion, or merge it"));
}

}  // namespace

at::Tensor residual(const at::Tensor& weight, const ResidualOptions& options) {
  const int64_t used = std::min({options.rank, weight.size(0), weight.size(1)});
  if (options.change.kind == BaseChange::Kind::olora) {
    const auto [q, r] = at::linalg_qr(weight);
    return weight - options.scale * at::matmul(q.narrow(1, 0, used), r.narrow(0, 0, used));
  }
  const auto [u, s, v] = at::linalg_svd(weight, /*full_matrices=*/false);
  if (options.change.iterations >= 0) require_settled(s, options);
  return weight - at::matmul(u.narrow(1, 0, used) * s.narrow(0, 0, used), v.narrow(0, 0, used));
}

}  // namespace preimage::lm
