// A Gaussian process with a learned feature map before its kernel ("deep kernel": Wilson et al.,
// AISTATS 2016): inputs -> Linear -> ReLU -> LayerNorm -> Linear -> Matern 5/2 with a lengthscale
// for each feature. Double precision, gradients in closed form, one fit on one thread with the same
// bits whatever runs beside it.
//
// Convention: the targets are to be made large. An error is given as y = -error. (Fitted to the
// errors themselves, with best = the lowest of them, the acquisition looks for high errors: that is
// the plan's sign, an arm of experiments/lipo.)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"
#include "preimage/base/random.hpp"

namespace preimage::bo {

struct GpOptions {
  bool adapter = true;    // false: the kernel stands on the normalised inputs themselves
  int64_t hidden = 32;    // width inside the adapter
  int64_t features = 10;  // width of the kernel's inputs
  // "learned": one noise variance in [0.001, 0.1]; "heteroscedastic": that of each observation,
  // given with the data.
  std::string noise = "learned";
  double lr = 0.01;
  double weight_decay = 0.01;  // on every parameter, raw hyperparameters included
  int64_t epochs = 10000;
  int64_t patience = 100;  // epochs without a strictly lower loss
  void fields(base::Fields& f);
};

// Observations: inputs [N, d] double, not normalised; targets [N]; noise [N] variances in squared
// units of the targets, for a heteroscedastic fit only (else empty).
struct GpData {
  at::Tensor inputs;
  std::vector<double> targets;
  std::vector<double> noise;
};

// Per dimension (x - min) / range, range = max - min or 1 where that is 0: the same pair both ways.
struct InputScale {
  at::Tensor min, range;  // [d] double
  at::Tensor normalise(const at::Tensor& x) const;
  at::Tensor denormalise(const at::Tensor& xn) const;
};
InputScale input_scale(const at::Tensor& inputs);

// (y - mean) / std, std with N - 1; 1 where it is below 1e-8 or N is 1.
struct TargetScale {
  double mean = 0;
  double std = 1;
};
TargetScale target_scale(std::span<const double> targets);

// Parameters as one vector [P], raw (before softplus and sigmoid), in the order of gp_parameters().
struct GpShape {
  int64_t inputs = 0;
  int64_t hidden = 0;    // 0: no adapter
  int64_t features = 0;  // of the kernel; without an adapter = inputs
  bool learned_noise = true;
  int64_t size() const;
};
struct GpParameter {
  std::string
      name;  // as GPyTorch's modules would be called: adapter.0.weight, raw_lengthscale, ...
  int64_t offset = 0;
  std::vector<int64_t> shape;
};
std::vector<GpParameter> gp_parameters(const GpShape& shape);
GpShape gp_shape(int64_t inputs, const GpOptions& options);

// Initial values: adapter as torch.nn.Linear draws it (uniform in +-1/sqrt(fan in)), LayerNorm 1
// and 0, raw hyperparameters 0.
at::Tensor initial_parameters(const GpShape& shape, const base::RandomStream& random);

// Constrained hyperparameters.
struct GpHyperparameters {
  std::vector<double> lengthscales;  // softplus(raw)
  double outputscale = 0;            // softplus(raw): the kernel's variance
  double noise = 0;                  // 0.001 + 0.099 sigmoid(raw); NaN when it is not learned
};
GpHyperparameters gp_hyperparameters(const GpShape& shape, const at::Tensor& parameters);

// Objective and gradient at `parameters`, on normalised inputs [N, d] and standardised targets [N]
// (noise [N] in standardised units, or empty).
//   objective = (log N(y; 0, K + noise) + log priors) / N
// with Gamma(3, 6) on each lengthscale and Gamma(2, 0.15) on the outputscale, as densities of the
// constrained values. Jitter 1e-4 (x 10 at each of 3 tries) is added where the factorisation fails.
struct GpObjective {
  double value = 0;
  double log_likelihood = 0;  // not divided by N
  double log_prior = 0;       // likewise
  double jitter = 0;          // added to the diagonal
  at::Tensor gradient;        // [P] of value
};
struct GpProblem {
  GpShape shape;
  at::Tensor inputs;            // [N, d] normalised
  std::vector<double> targets;  // [N] standardised
  std::vector<double> noise;    // [N] standardised, or empty
};
GpObjective gp_objective(const GpProblem& problem, const at::Tensor& parameters);

// A fitted process, ready to predict.
struct GpModel {
  GpOptions options;
  GpShape shape;
  InputScale input;
  TargetScale target;
  GpData data;            // as given
  at::Tensor inputs;      // [N, d] normalised
  at::Tensor parameters;  // [P], of the lowest loss
  // Of the factorisation at `parameters`.
  at::Tensor features;        // [N, features] over the lengthscales
  at::Tensor inverse_factor;  // [N, N] lower: L^-1 with L L' = K + noise
  at::Tensor alpha;           // [N] (K + noise)^-1 y
  double jitter = 0;
  // Of the fit.
  int64_t epochs = 0;  // epochs run
  double loss = 0;     // lowest, = -objective
};

// Fits all parameters by AdamW, full batch, and keeps those of the lowest loss. At least one
// observation. Draws the adapter's start from `random`. Throws bad_data with the largest jitter
// tried where the factorisation fails.
GpModel fit_gp(const GpData& data, const GpOptions& options, const base::RandomStream& random);

// Independent fits (arms, seeds), dealt over the threads: each the bits of fit_gp alone.
struct GpFit {
  GpData data;
  GpOptions options;
  base::RandomStream random;
};
std::vector<GpModel> fit_gps(std::span<const GpFit> fits);

// The model with `data` in place of its own: the input scale is kept, the targets are standardised
// anew, all parameters start where they are. `options` carries epochs, patience and lr of the
// update (500, 10, 0.001 in the plan).
GpModel update_gp(const GpModel& model, const GpData& data, const GpOptions& options);

// A model at given parameters, without a fit (stored runs, tests).
GpModel gp_at(const GpData& data, const GpOptions& options, const at::Tensor& parameters);

}  // namespace preimage::bo
