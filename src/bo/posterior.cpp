#include "preimage/bo/posterior.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "objective.hpp"
#include "predictor.hpp"
#include "preimage/base/error.hpp"

namespace preimage::bo {
namespace {

constexpr double kLeastVariance = 1e-10;
constexpr int64_t kPoints = kColumnTile;  // of a block: a fixed number, so that threads cannot show

}  // namespace

Predictor::Predictor(const GpModel& model)
    : shape_(model.shape),
      kernels_(cpu_kernels()),
      observations_(model.inputs.size(0)),
      map_(model.shape) {
  const auto raw = model.parameters.contiguous();
  map_.set(raw.const_data_ptr<double>());
  const auto hyper = gp_hyperparameters(shape_, raw);
  lengthscales_ = hyper.lengthscales;
  outputscale_ = hyper.outputscale;
  const int64_t n = padded(observations_, kColumnTile), features = shape_.features;
  alpha_.resize(n);
  std::copy_n(model.alpha.contiguous().const_data_ptr<double>(), observations_, alpha_.begin());
  inverse_ = Matrix(n, n), inverse_t_ = Matrix(n, n);
  inverse_.load(model.inverse_factor.contiguous().const_data_ptr<double>(), observations_,
                observations_);
  kernels_.transpose(inverse_, inverse_t_);
  scaled_by_point_ = Matrix(n, padded(std::max(features + 1, map_.feature_rows()), kRowTile));
  scaled_ = Matrix(scaled_by_point_.block().columns, n);
  scaled_by_point_.load(model.features.contiguous().const_data_ptr<double>(), observations_,
                        features);
  kernels_.transpose(scaled_by_point_, scaled_);
  for (int64_t i = 0; i < observations_; ++i) scaled_by_point_.row(i)[features] = 1;
}

// What a block of points is computed in, block after block; the padding stays zero.
struct Predictor::Workspace {
  explicit Workspace(const Predictor& p)
      : inputs(p.map_.input_rows(), kPoints),
        mapped(p.map_.buffers(kPoints)),
        k(p.alpha_.size(), kPoints),
        slope(p.alpha_.size(), kPoints),
        half(p.alpha_.size(), kPoints),
        solved(p.alpha_.size(), kPoints),
        sums(p.scaled_by_point_.block().columns, kPoints),
        by_features(p.map_.feature_rows(), kPoints),
        by_inputs(p.map_.input_rows(), kPoints) {}
  Matrix inputs;
  FeatureBuffers mapped;
  Matrix k, slope, half, solved;
  Matrix sums, by_features, by_inputs;
};

// Points stand in columns. Padded observations have alpha 0 and empty rows and columns in L^-1:
// they add nothing.
void Predictor::evaluate(const Batch& b, Workspace& w) const {
  const int64_t d = shape_.inputs, features = shape_.features;
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t k = 0; k < d; ++k) w.inputs.row(k)[i] = b.points[(b.first + i) * d + k];
  map_.forward(w.inputs, w.mapped);
  for (int64_t f = 0; f < features; ++f)
    for (int64_t i = 0; i < kPoints; ++i) w.mapped.features.row(f)[i] /= lengthscales_[f];
  const Covariance kernel{scaled_.block().data, scaled_.block().stride, features, outputscale_};
  kernels_.cross(kernel, w.mapped.features, w.k, w.slope);
  kernels_.lower_product(inverse_t_, w.k, w.half);
  double mean[kPoints] = {}, variance[kPoints];
  std::fill_n(variance, kPoints, outputscale_);
  for (int64_t j = 0; j < observations_; ++j) {
    const double *line = w.k.row(j), *own = w.half.row(j);
    for (int64_t i = 0; i < kPoints; ++i) {
      mean[i] += alpha_[j] * line[i];
      variance[i] -= own[i] * own[i];
    }
  }
  GpRowWeights weights[kPoints] = {};
  for (int64_t i = 0; i < b.count; ++i) {
    const GpRow row{mean[i], std::max(variance[i], kLeastVariance)};
    if (b.rows) b.rows[b.first + i] = row;
    if (b.weights) weights[i] = (*b.weights)(b.first + i, row);
    if (variance[i] < kLeastVariance) weights[i].by_variance = 0;  // it is held there
  }
  if (b.weights) gradient_of(b, weights, w);
}

// d/dx = -sum over observations of weight slope (x - x').
void Predictor::gradient_of(const Batch& b, const GpRowWeights* weights, Workspace& w) const {
  const int64_t d = shape_.inputs, n = std::ssize(alpha_), features = shape_.features;
  kernels_.upper_product(inverse_, w.half, w.solved);
  double by_mean[kPoints], by_variance[kPoints];
  for (int64_t i = 0; i < kPoints; ++i)
    by_mean[i] = weights[i].by_mean, by_variance[i] = 2 * weights[i].by_variance;
  for (int64_t j = 0; j < n; ++j) {
    double* line = w.slope.row(j);
    const double* own = w.solved.row(j);
    const double alpha = alpha_[j];
    for (int64_t i = 0; i < kPoints; ++i) line[i] *= by_mean[i] * alpha - by_variance[i] * own[i];
  }
  kernels_.product(scaled_by_point_, w.slope, w.sums, 0);
  const double* total = w.sums.row(features);
  for (int64_t f = 0; f < features; ++f)
    for (int64_t i = 0; i < kPoints; ++i)
      w.by_features.row(f)[i] =
          (w.sums.row(f)[i] - w.mapped.features.row(f)[i] * total[i]) / lengthscales_[f];
  map_.input_gradient(w.mapped, w.by_features, w.by_inputs);
  for (int64_t i = 0; i < b.count; ++i)
    for (int64_t q = 0; q < d; ++q) b.gradient[(b.first + i) * d + q] = w.by_inputs.row(q)[i];
}

void Predictor::batches(const Batch& whole) const {
  const int64_t blocks = (whole.count + kPoints - 1) / kPoints;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    Workspace workspace(*this);
    for (int64_t i = begin; i < end; ++i) {
      Batch part = whole;
      part.first = i * kPoints;
      part.count = std::min(kPoints, whole.count - part.first);
      evaluate(part, workspace);
    }
  });
}

void Predictor::rows(const double* points, int64_t count, GpRow* out) const {
  batches({points, 0, count, out, nullptr, nullptr});
}

void Predictor::gradient(const double* points, int64_t count, const GpRowFunction& weights,
                         double* gradient) const {
  batches({points, 0, count, nullptr, &weights, gradient});
}

namespace {

at::Tensor checked(const GpModel& model, const at::Tensor& points) {
  base::check(points.dim() == 2 && points.size(1) == model.shape.inputs,
              "points to predict stand in rows as wide as the model's inputs");
  return points.to(at::kDouble).contiguous();
}

}  // namespace

GpPosterior predict(const GpModel& model, const at::Tensor& inputs) {
  const auto rows = predict_rows(model, model.input.normalise(inputs));
  GpPosterior out;
  for (const auto& row : rows) {
    out.mean.push_back(row.mean * model.target.std + model.target.mean);
    out.std.push_back(std::sqrt(row.variance) * model.target.std);
  }
  return out;
}

std::vector<GpRow> predict_rows(const GpModel& model, const at::Tensor& normalised) {
  const auto points = checked(model, normalised);
  std::vector<GpRow> out(points.size(0));
  Predictor(model).rows(points.const_data_ptr<double>(), points.size(0), out.data());
  return out;
}

at::Tensor predict_gradient(const GpModel& model, const at::Tensor& normalised,
                            const GpRowFunction& weights) {
  const auto points = checked(model, normalised);
  auto out = at::empty_like(points);
  Predictor(model).gradient(points.const_data_ptr<double>(), points.size(0), weights,
                            out.data_ptr<double>());
  return out;
}

}  // namespace preimage::bo
