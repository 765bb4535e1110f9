// A fitted model made ready for many batches of points: padded, and its factor transposed, once.
#pragma once

#include <functional>
#include <vector>

#include "feature_map.hpp"
#include "preimage/bo/posterior.hpp"

namespace preimage::bo {

class Predictor {
 public:
  explicit Predictor(const GpModel& model);

  // Rows of normalised points [M, d], row-major. With `weights`, `gradient` [M, d] gets the
  // gradient of the function whose derivatives they give. Points are dealt over the threads in
  // fixed blocks.
  void rows(const double* points, int64_t count, GpRow* out) const;
  void gradient(const double* points, int64_t count, const GpRowFunction& weights,
                double* gradient) const;

 private:
  struct Batch {
    const double* points;
    int64_t first, count;  // rows of the whole
    GpRow* rows;
    const GpRowFunction* weights;  // null: no gradient
    double* gradient;
  };
  struct Workspace;
  void evaluate(const Batch& batch, Workspace& workspace) const;
  void gradient_of(const Batch& batch, const GpRowWeights* weights, Workspace& workspace) const;
  void batches(const Batch& whole) const;

  GpShape shape_;
  const CpuKernels& kernels_;
  int64_t observations_;
  FeatureMap map_;
  std::vector<double> lengthscales_, alpha_;
  double outputscale_ = 0;
  Matrix scaled_, scaled_by_point_;  // [features, N], [N, features and a column of ones]
  Matrix inverse_, inverse_t_;       // L^-1 and its transpose
};

}  // namespace preimage::bo
