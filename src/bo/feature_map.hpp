// The adapter of a deep kernel, over points that stand in columns: Linear -> ReLU -> LayerNorm ->
// Linear. Without hidden units it passes its inputs on.
#pragma once

#include <cstdint>
#include <vector>

#include "matrix.hpp"
#include "preimage/bo/gaussian_process.hpp"

namespace preimage::bo {

// Offsets of the pieces of a parameter vector (gp_parameters()); negative where there is none.
struct GpLayout {
  int64_t weight1 = -1, bias1 = -1, scale = -1, shift = -1, weight2 = -1, bias2 = -1;
  int64_t lengthscale = -1, outputscale = -1, noise = -1;
};
GpLayout gp_layout(const GpShape& shape);

// Activations of one batch, for its gradient.
struct FeatureBuffers {
  Matrix pre, unit, out;  // [hidden, points]
  Matrix features;        // [features, points]
  std::vector<double> root;
};

class FeatureMap {
 public:
  explicit FeatureMap(const GpShape& shape);
  void set(const double* parameters);

  int64_t input_rows() const { return inputs_; }
  int64_t feature_rows() const { return features_; }
  FeatureBuffers buffers(int64_t points) const;

  // inputs [input_rows, points] -> buffers.features.
  void forward(const Block& inputs, FeatureBuffers& buffers) const;
  // slope [feature_rows, points]: to the features. Both write all of their result.
  struct Gradient {
    const Block& inputs_by_point;  // [points, input_rows]
    double* parameters;            // [P], the adapter's part of it
  };
  void parameter_gradient(const FeatureBuffers& buffers, const Block& slope, const Gradient& to);
  // -> out [input_rows, points]
  void input_gradient(const FeatureBuffers& buffers, const Block& slope, const Block& out) const;

 private:
  NormLayer layer(const FeatureBuffers& buffers) const;
  GpShape shape_;
  GpLayout at_;
  const CpuKernels& kernels_;
  int64_t inputs_, hidden_, features_;  // padded
  Matrix weight1_, weight1_t_, weight2_, weight2_t_;
  std::vector<double> bias1_, scale_, shift_, bias2_;
  // Scratch of the gradient, made at its first call.
  Matrix slope_by_point_, out_by_point_, hidden_by_point_, by_weight1_, by_weight2_, hidden_slope_;
};

}  // namespace preimage::bo
