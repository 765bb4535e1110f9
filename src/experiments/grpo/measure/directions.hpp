// The direction of a contrast in each module's knobs: what the gradients of pairs of completions
// have in common.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "module_span.hpp"

namespace preimage::grpo {

// Orthonormal rows of one module, oriented so that descending a loss gradient g with <v, g> > 0
// makes the first completion of a pair (the hack) more likely.
struct ModuleDirections {
  ModuleSpan span;
  int64_t k = 0;                 // rows
  std::vector<double> v;         // [k, span.size]
  std::vector<double> singular;  // [k]
  std::vector<double> votes;     // [k] share of pairs on the positive side; exactly 1/2: no side
  std::vector<double> mean;      // [span.size] mean of the pairs' gradients

  std::span<const double> row(int64_t i) const {
    return std::span<const double>(v).subspan(static_cast<size_t>(i * span.size),
                                              static_cast<size_t>(span.size));
  }
};

struct ExtractionOptions {
  int64_t k = 5;                 // axes of a module at most
  double noise_quantile = 0.25;  // of the singular values of all modules: smaller ones are dropped
  double relative_floor = 0;     // S_i / S_0 of a module below which an axis is dropped
};

struct Directions {
  std::vector<ModuleDirections> modules;  // those that kept an axis, in the order of the spans
  double noise_floor = 0;                 // the quantile's value
  int64_t modules_seen = 0;               // with a gradient that is not zero
  int64_t axes() const;
  double mean_k() const;  // axes per module that kept any
};

// Thin SVD (uncentred) of the pairs' gradients D, one row for each pair: D = U S V. Singular values
// in falling order, and only those above 1e-7 of the first, which is what float32 can tell from
// none. One-sided Jacobi on the rows (Hestenes 1958) in double precision: a few rows, so it costs
// sweeps * pairs^2 * size, and its bits depend on nothing but D.
struct ThinSvd {
  std::vector<double> singular;  // [k]
  std::vector<double> v;         // [k, size]
};
ThinSvd thin_svd(const Rows& d, const ModuleSpan& span);

// Votes: v_i is flipped if fewer than half of the pairs have <D_p, v_i> > 0; a tie is left. The
// noise floor is the quantile (linear interpolation) of the pooled singular values of all modules
// after the cut to k; modules whose gradients are all zero (a LoRA A beside a B of zero) are no
// part of it. `d` holds one row for each pair. Throws ExitCode::bad_data where nothing is left.
Directions extract_directions(const Rows& d, std::span<const ModuleSpan> spans,
                              const ExtractionOptions& options);

// Mean over the rows of `heldout` of <D, v_1> / |D|, over all kept modules at once.
double held_out_alignment(const Directions& directions, const Rows& heldout);

// Sums in order, in double precision.
double dot(std::span<const double> a, std::span<const float> b);
double dot(std::span<const double> a, std::span<const double> b);
double norm(std::span<const float> a);
double norm(std::span<const double> a);

}  // namespace preimage::grpo
