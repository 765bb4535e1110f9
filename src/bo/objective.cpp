#include "objective.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::bo {
namespace {

constexpr double kLeastNoise = 0.001, kNoiseRange = 0.099;
constexpr double kJitter = 1e-4;
constexpr int kJitterTries = 3;

// A Gamma density with shape a and rate b, and the derivative of its logarithm.
struct Gamma {
  double a, b;
  double log_density(double x) const {
    return a * std::log(b) - std::lgamma(a) + (a - 1) * std::log(x) - b * x;
  }
  double slope(double x) const { return (a - 1) / x - b; }
};
constexpr Gamma kLengthscalePrior{3, 6}, kOutputscalePrior{2, 0.15};

}  // namespace

double softplus(double raw) {
  return raw > 30 ? raw : std::log1p(std::exp(raw));
}

double sigmoid(double raw) {
  return 1 / (1 + std::exp(-raw));
}

GpHyperparameters gp_hyperparameters(const GpShape& shape, const at::Tensor& parameters) {
  base::check(parameters.numel() == shape.size(), "a parameter vector has its shape's size");
  const auto flat = parameters.contiguous();
  const double* raw = flat.const_data_ptr<double>();
  const auto at = gp_layout(shape);
  GpHyperparameters out;
  for (int64_t f = 0; f < shape.features; ++f)
    out.lengthscales.push_back(softplus(raw[at.lengthscale + f]));
  out.outputscale = softplus(raw[at.outputscale]);
  out.noise = shape.learned_noise ? kLeastNoise + kNoiseRange * sigmoid(raw[at.noise])
                                  : std::numeric_limits<double>::quiet_NaN();
  return out;
}

Objective::Objective(const GpProblem& problem)
    : problem_(problem),
      at_(gp_layout(problem.shape)),
      kernels_(cpu_kernels()),
      count_(static_cast<int64_t>(problem.targets.size())),
      points_(padded(count_, kColumnTile)),
      map_(problem.shape),
      buffers_(map_.buffers(points_)),
      inputs_(points_, map_.input_rows()),
      inputs_t_(map_.input_rows(), points_),
      scaled_(map_.feature_rows(), points_),
      scaled_by_point_(points_, padded(problem.shape.features + 1, kRowTile)),
      covariance_(points_, points_),
      inverse_(points_, points_),
      slope_(points_, points_),
      weighed_(scaled_by_point_.block().columns, points_),
      feature_slope_(map_.feature_rows(), points_),
      lengthscales_(problem.shape.features),
      targets_(points_),
      noise_(points_),
      half_(points_),
      alpha_(points_),
      inverse_diagonal_(points_) {
  const auto x = problem.inputs.contiguous();
  base::check(count_ > 0 && x.dim() == 2 && x.size(0) == count_ &&
                  x.size(1) == problem.shape.inputs && x.scalar_type() == at::kDouble,
              "a Gaussian process has inputs [N, d] in double for its N targets");
  base::check(problem.shape.learned_noise ? problem.noise.empty()
                                          : problem.noise.size() == problem.targets.size(),
              "noise is learned, or given for each observation");
  inputs_.load(x.const_data_ptr<double>(), count_, problem.shape.inputs);
  kernels_.transpose(inputs_, inputs_t_);
  std::ranges::copy(problem.targets, targets_.begin());
}

void Objective::scale_features(const double* parameters) {
  map_.set(parameters);
  map_.forward(inputs_t_, buffers_);
  const int64_t features = problem_.shape.features;
  for (int64_t f = 0; f < features; ++f) {
    lengthscales_[f] = softplus(parameters[at_.lengthscale + f]);
    const double* from = buffers_.features.row(f);
    double* to = scaled_.row(f);
    for (int64_t i = 0; i < count_; ++i) {
      to[i] = from[i] / lengthscales_[f];
      scaled_by_point_.row(i)[f] = to[i];
    }
  }
  for (int64_t i = 0; i < count_; ++i) scaled_by_point_.row(i)[features] = 1;
}

// Noise and jitter onto the diagonal; the padding is made a block of its own that is the identity.
void Objective::diagonal(double jitter) {
  for (int64_t i = 0; i < points_; ++i) {
    double* row = covariance_.row(i);
    if (i < count_) row[i] += noise_[i] + jitter;
    for (int64_t j = std::max(count_, i); j < points_; ++j) {
      row[j] = i == j ? 1 : 0;
      slope_.row(i)[j] = 0;
    }
  }
}

double Objective::factorise() {
  const Covariance kernel{scaled_.block().data, scaled_.block().stride, problem_.shape.features,
                          outputscale_};
  double jitter = 0;
  for (int attempt = 0; attempt <= kJitterTries; ++attempt) {
    if (attempt > 0) jitter = kJitter * std::pow(10.0, attempt - 1);
    kernels_.covariance(kernel, points_, covariance_, slope_);
    diagonal(jitter);
    if (kernels_.factorise(covariance_, inverse_)) return jitter;
  }
  throw base::data_error(base::str("Gaussian process: the covariance of ", count_,
                                   " observations has no Cholesky factor, with ", jitter,
                                   " on its diagonal either; expected finite inputs and targets"));
}

GpObjective Objective::evaluate(const double* parameters, double* gradient) {
  const auto& shape = problem_.shape;
  scale_features(parameters);
  outputscale_ = softplus(parameters[at_.outputscale]);
  if (shape.learned_noise) {
    learned_noise_ = kLeastNoise + kNoiseRange * sigmoid(parameters[at_.noise]);
    std::fill_n(noise_.begin(), count_, learned_noise_);
  } else {
    std::ranges::copy(problem_.noise, noise_.begin());
  }
  GpObjective out;
  out.jitter = factorise();
  for (int64_t i = 0; i < count_; ++i) noise_[i] += out.jitter;
  kernels_.lower_times(inverse_, targets_.data(), half_.data());
  kernels_.lower_transposed_times(inverse_, half_.data(), alpha_.data());

  const auto n = static_cast<double>(count_);
  out.log_likelihood = -n / 2 * std::log(2 * std::numbers::pi);
  for (int64_t i = 0; i < count_; ++i)
    out.log_likelihood -= half_[i] * half_[i] / 2 + std::log(covariance_.row(i)[i]);
  out.log_prior = kOutputscalePrior.log_density(outputscale_);
  for (const double l : lengthscales_) out.log_prior += kLengthscalePrior.log_density(l);
  out.value = (out.log_likelihood + out.log_prior) / n;
  if (gradient) kernel_gradient(parameters, gradient);
  return out;
}

// With W = (alpha alpha' - K^-1) / 2 the likelihood's derivative is sum W_ij dK_ij, and dk(x,
// x')/dx = -slope (x - x'): one symmetric product gives that of every feature.
void Objective::kernel_gradient(const double* parameters, double* gradient) {
  const auto& shape = problem_.shape;
  const auto n = static_cast<double>(count_);
  // The factor itself is no longer needed.
  kernels_.weigh(inverse_, alpha_.data(), slope_, covariance_, inverse_diagonal_.data());
  kernels_.product(scaled_by_point_, covariance_, weighed_, 0);
  const double* row_sums = weighed_.row(shape.features);
  for (int64_t f = 0; f < shape.features; ++f) {
    const double *x = scaled_.row(f), *sums = weighed_.row(f);
    double* to = feature_slope_.row(f);
    double by_lengthscale = 0;
    for (int64_t i = 0; i < count_; ++i) {
      const double slope = -2 / n * (x[i] * row_sums[i] - sums[i]);
      by_lengthscale -= slope * x[i] / lengthscales_[f];
      to[i] = slope / lengthscales_[f];
    }
    gradient[at_.lengthscale + f] =
        (by_lengthscale + kLengthscalePrior.slope(lengthscales_[f]) / n) *
        sigmoid(parameters[at_.lengthscale + f]);
  }
  // K less its diagonal's noise stands in alpha' K alpha = alpha' y - noise alpha^2 and in
  // tr K^-1 K = N - noise tr K^-1.
  double by_scale = -n, by_noise = 0;
  for (int64_t i = 0; i < count_; ++i) {
    const double own = alpha_[i] * alpha_[i] - inverse_diagonal_[i];
    by_scale += alpha_[i] * targets_[i] - noise_[i] * own;
    by_noise += own / 2;
  }
  gradient[at_.outputscale] =
      (by_scale / (2 * outputscale_) + kOutputscalePrior.slope(outputscale_)) / n *
      sigmoid(parameters[at_.outputscale]);
  if (shape.learned_noise) {
    const double s = sigmoid(parameters[at_.noise]);
    gradient[at_.noise] = by_noise / n * kNoiseRange * s * (1 - s);
  }
  map_.parameter_gradient(buffers_, feature_slope_, {inputs_, gradient});
}

at::Tensor Objective::scaled_features() const {
  auto out = at::empty({count_, problem_.shape.features}, at::kDouble);
  scaled_by_point_.store(out.data_ptr<double>(), count_, problem_.shape.features);
  return out;
}

at::Tensor Objective::inverse_factor() const {
  auto out = at::empty({count_, count_}, at::kDouble);
  inverse_.store(out.data_ptr<double>(), count_, count_);
  return out;
}

at::Tensor Objective::alpha() const {
  auto out = at::empty({count_}, at::kDouble);
  std::copy_n(alpha_.begin(), count_, out.data_ptr<double>());
  return out;
}

}  // namespace preimage::bo
