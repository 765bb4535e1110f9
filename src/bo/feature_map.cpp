#include "feature_map.hpp"

#include <algorithm>

#include "preimage/base/error.hpp"

namespace preimage::bo {

GpLayout gp_layout(const GpShape& shape) {
  GpLayout out;
  int64_t at = 0;
  const auto take = [&](int64_t size) {
    const int64_t here = at;
    at += size;
    return here;
  };
  if (shape.hidden > 0) {
    out.weight1 = take(shape.hidden * shape.inputs);
    out.bias1 = take(shape.hidden);
    out.scale = take(shape.hidden);
    out.shift = take(shape.hidden);
    out.weight2 = take(shape.features * shape.hidden);
    out.bias2 = take(shape.features);
  }
  out.lengthscale = take(shape.features);
  out.outputscale = take(1);
  if (shape.learned_noise) out.noise = take(1);
  return out;
}

FeatureMap::FeatureMap(const GpShape& shape)
    : shape_(shape),
      at_(gp_layout(shape)),
      kernels_(cpu_kernels()),
      inputs_(padded(shape.inputs, kColumnTile)),
      hidden_(padded(shape.hidden, kColumnTile)),
      features_(shape.hidden > 0 ? padded(shape.features, kRowTile) : inputs_) {
  base::check(shape.inputs > 0 && shape.features > 0, "a feature map has inputs and features");
  base::check(shape.hidden > 0 || shape.features == shape.inputs,
              "without an adapter the features are the inputs");
  if (hidden_ == 0) return;
  weight1_ = Matrix(hidden_, inputs_);
  weight1_t_ = Matrix(inputs_, hidden_);
  weight2_ = Matrix(features_, hidden_);
  weight2_t_ = Matrix(hidden_, features_);
  bias1_.resize(hidden_), scale_.resize(hidden_), shift_.resize(hidden_), bias2_.resize(features_);
}

void FeatureMap::set(const double* parameters) {
  if (hidden_ == 0) return;
  weight1_.load(parameters + at_.weight1, shape_.hidden, shape_.inputs);
  weight2_.load(parameters + at_.weight2, shape_.features, shape_.hidden);
  kernels_.transpose(weight1_, weight1_t_);
  kernels_.transpose(weight2_, weight2_t_);
  std::copy_n(parameters + at_.bias1, shape_.hidden, bias1_.begin());
  std::copy_n(parameters + at_.scale, shape_.hidden, scale_.begin());
  std::copy_n(parameters + at_.shift, shape_.hidden, shift_.begin());
  std::copy_n(parameters + at_.bias2, shape_.features, bias2_.begin());
}

FeatureBuffers FeatureMap::buffers(int64_t points) const {
  FeatureBuffers out;
  out.features = Matrix(features_, points);
  if (hidden_ == 0) return out;
  out.pre = Matrix(hidden_, points), out.unit = Matrix(hidden_, points),
  out.out = Matrix(hidden_, points);
  out.root.resize(static_cast<size_t>(points));
  return out;
}

NormLayer FeatureMap::layer(const FeatureBuffers& buffers) const {
  return {.bias = bias1_.data(),
          .scale = scale_.data(),
          .shift = shift_.data(),
          .hidden = shape_.hidden,
          .pre = buffers.pre,
          .unit = buffers.unit,
          .root = const_cast<double*>(buffers.root.data()),
          .out = buffers.out};
}

void FeatureMap::forward(const Block& inputs, FeatureBuffers& buffers) const {
  const int64_t points = inputs.columns;
  if (hidden_ == 0) {
    for (int64_t f = 0; f < shape_.features; ++f)
      std::copy_n(inputs.data + f * inputs.stride, points, buffers.features.row(f));
    return;
  }
  kernels_.product(weight1_t_, inputs, buffers.pre, 0);
  kernels_.norm(layer(buffers));
  kernels_.product(weight2_t_, buffers.out, buffers.features, 0);
  for (int64_t f = 0; f < shape_.features; ++f) {
    double* row = buffers.features.row(f);
    for (int64_t i = 0; i < points; ++i) row[i] += bias2_[f];
  }
}

void FeatureMap::parameter_gradient(const FeatureBuffers& buffers, const Block& slope,
                                    const Gradient& to) {
  if (hidden_ == 0) return;
  const int64_t points = slope.columns;
  if (slope_by_point_.block().rows != points) {
    slope_by_point_ = Matrix(points, features_);
    out_by_point_ = Matrix(points, hidden_), hidden_by_point_ = Matrix(points, hidden_);
    hidden_slope_ = Matrix(hidden_, points);
    by_weight1_ = Matrix(hidden_, inputs_), by_weight2_ = Matrix(features_, hidden_);
  }
  kernels_.transpose(slope, slope_by_point_);
  kernels_.transpose(buffers.out, out_by_point_);
  kernels_.product(slope_by_point_, out_by_point_, by_weight2_, 0);
  by_weight2_.store(to.parameters + at_.weight2, shape_.features, shape_.hidden);
  for (int64_t f = 0; f < shape_.features; ++f) {
    const double* row = slope.data + f * slope.stride;
    double sum = 0;
    for (int64_t i = 0; i < points; ++i) sum += row[i];
    to.parameters[at_.bias2 + f] = sum;
  }
  kernels_.product(weight2_, slope, hidden_slope_, 0);
  kernels_.norm_backward(layer(buffers), {.slope = hidden_slope_,
                                          .by_bias = to.parameters + at_.bias1,
                                          .by_scale = to.parameters + at_.scale,
                                          .by_shift = to.parameters + at_.shift});
  kernels_.transpose(hidden_slope_, hidden_by_point_);
  kernels_.product(hidden_by_point_, to.inputs_by_point, by_weight1_, 0);
  by_weight1_.store(to.parameters + at_.weight1, shape_.hidden, shape_.inputs);
}

void FeatureMap::input_gradient(const FeatureBuffers& buffers, const Block& slope,
                                const Block& out) const {
  if (hidden_ == 0) {
    for (int64_t f = 0; f < shape_.features; ++f)
      std::copy_n(slope.data + f * slope.stride, slope.columns, out.data + f * out.stride);
    return;
  }
  const Matrix hidden_slope(hidden_, slope.columns);
  std::vector<double> unused(static_cast<size_t>(3 * hidden_));
  kernels_.product(weight2_, slope, hidden_slope, 0);
  kernels_.norm_backward(layer(buffers), {.slope = hidden_slope,
                                          .by_bias = unused.data(),
                                          .by_scale = unused.data() + hidden_,
                                          .by_shift = unused.data() + 2 * hidden_});
  kernels_.product(weight1_, hidden_slope, out, 0);
}

}  // namespace preimage::bo
