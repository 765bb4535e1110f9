// The point of highest log expected improvement in a box: scrambled Sobol points, Boltzmann choice
// of starts, L-BFGS-B from all starts in lock-step (what BoTorch's optimize_acqf does for q = 1,
// each start a problem of its own).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"
#include "preimage/base/random.hpp"
#include "preimage/bo/gaussian_process.hpp"
#include "preimage/bo/posterior.hpp"
#include "preimage/optim/lbfgs_box.hpp"

namespace preimage::bo {

struct AcquisitionOptions {
  int64_t raw_samples = 1024;
  int64_t restarts = 64;
  double margin = 0.2;      // the box reaches this share of the range beyond the data
  double eta = 1;           // inverse temperature of the choice of starts
  double xi = 0;            // least improvement, in units of the targets
  int64_t refinements = 0;  // further starts around the best end, whose best takes its place
  optim::LbfgsBoxOptions optimiser;
  void fields(base::Fields& f);
};

// Per dimension of the normalised inputs [N, d]: [min - margin range, max + margin range].
optim::Box acquisition_box(const at::Tensor& normalised, double margin);

// `count` different indices with weights exp(eta z), z the values less their mean over their
// standard deviation (N - 1). eta is halved while a weight is infinite; the index of the largest
// value replaces the last draw where it was not drawn; equal values are drawn uniformly.
std::vector<int64_t> boltzmann_starts(std::span<const double> values, int64_t count, double eta,
                                      const base::RandomStream& random);
// The weights of one draw, summing to 1.
std::vector<double> boltzmann_weights(std::span<const double> values, double eta);

// Log expected improvement over `best` (units of the targets) at normalised points [M, d], and its
// gradient to them [M, d]. Rows are independent, bit by bit.
struct AcquisitionValues {
  at::Tensor values;     // [M] double
  at::Tensor gradients;  // [M, d]; undefined when not asked for
};
AcquisitionValues log_ei_at(const GpModel& model, const at::Tensor& normalised, double best,
                            bool gradients);

struct AcquisitionResult {
  at::Tensor best;            // [d] normalised
  double value = 0;           // log EI there
  int64_t best_start = 0;     // ties: the lowest
  at::Tensor starts, finals;  // [restarts, d] normalised
  std::vector<double> start_values, final_values;
  double best_raw = 0;        // highest among the raw samples
  int64_t active_bounds = 0;  // coordinates of `best` on the box
  double nearest = 0;         // distance of `best` to the nearest observation, normalised
  int64_t rounds = 0;         // batched evaluations of the optimiser
  int64_t evaluations = 0;    // rows evaluated, raw samples included
};

// The best point above `best`, the highest target so far (y = -error: the negative lowest error).
AcquisitionResult maximise_log_ei(const GpModel& model, double best,
                                  const AcquisitionOptions& options,
                                  const base::RandomStream& random);

}  // namespace preimage::bo
