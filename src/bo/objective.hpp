// The marginal likelihood of a deep-kernel Gaussian process with priors, and its gradient, on
// buffers that are made once for all epochs of a fit.
#pragma once

#include <vector>

#include "feature_map.hpp"
#include "preimage/bo/gaussian_process.hpp"

namespace preimage::bo {

class Objective {
 public:
  explicit Objective(const GpProblem& problem);

  // At parameters [P]; with `gradient` [P] also that of the value. Throws bad_data where K with the
  // largest jitter has no Cholesky factor.
  GpObjective evaluate(const double* parameters, double* gradient);

  // Of the last evaluation without a gradient (which overwrites them), not padded.
  at::Tensor scaled_features() const;  // [N, features]
  at::Tensor inverse_factor() const;   // [N, N]
  at::Tensor alpha() const;            // [N]

 private:
  void scale_features(const double* parameters);
  double factorise();  // the jitter that it took
  void diagonal(double jitter);
  void kernel_gradient(const double* parameters, double* gradient);

  GpProblem problem_;
  GpLayout at_;
  const CpuKernels& kernels_;
  int64_t count_, points_;  // points_: padded
  FeatureMap map_;
  FeatureBuffers buffers_;
  Matrix inputs_, inputs_t_;         // [points, inputs], [inputs, points]
  Matrix scaled_, scaled_by_point_;  // features over lengthscales; by point, then a column of ones
  Matrix covariance_, inverse_, slope_, weighed_, feature_slope_;
  std::vector<double> lengthscales_, targets_, noise_, half_, alpha_, inverse_diagonal_;
  double outputscale_ = 0, learned_noise_ = 0;
};

double softplus(double raw);
double sigmoid(double raw);

}  // namespace preimage::bo
