#include "report/conflict.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "preimage/base/error.hpp"

namespace preimage::dcm {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::vector<double> finite_only(std::span<const double> values) {
  std::vector<double> kept;
  std::copy_if(values.begin(), values.end(), std::back_inserter(kept),
               [](double v) { return std::isfinite(v); });
  return kept;
}

double mean(std::span<const double> values) {
  if (values.empty()) return not_a_number;
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double median(std::vector<double> values) {
  if (values.empty()) return not_a_number;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

std::vector<double> changes(std::span<const double> values, int64_t window) {
  std::vector<double> out;
  const auto step = static_cast<size_t>(window);
  for (size_t i = step; i < values.size(); i += step) out.push_back(values[i] - values[i - step]);
  return out;
}

}  // namespace

double kappa(const GradientProducts& products) {
  if (!(products.qq > 0 && products.aa > 0)) return not_a_number;
  // The roots one by one: qq * aa of two small gradients could underflow. Rounding may leave [-1,
  // 1].
  const double cosine = products.dot / (std::sqrt(products.qq) * std::sqrt(products.aa));
  return std::isnan(cosine) ? cosine : std::clamp(cosine, -1.0, 1.0);
}

double gradient_ratio(const GradientProducts& products) {
  return std::sqrt(products.qq) / std::sqrt(products.aa);
}

ProjectionFactors projection_factors(const GradientProducts& products) {
  if (!(products.dot < 0 && products.qq > 0 && products.aa > 0)) return {};
  return {products.dot / products.aa, products.dot / products.qq};
}

double pearson(std::span<const double> x, std::span<const double> y) {
  base::check(x.size() == y.size(), "a correlation has two equally long sides");
  if (x.size() < 2) return not_a_number;
  const double mean_x = mean(x), mean_y = mean(y);
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double dx = x[i] - mean_x, dy = y[i] - mean_y;
    xy += dx * dy;
    xx += dx * dx;
    yy += dy * dy;
  }
  return kappa({xy, xx, yy});
}

double correlation_of_changes(std::span<const double> loss_q, std::span<const double> loss_a,
                              int64_t window) {
  base::check(window > 0, "a window has at least one step");
  return pearson(changes(loss_q, window), changes(loss_a, window));
}

ConflictReport judge_conflict(const ConflictTrace& trace, const ConflictOptions& options) {
  ConflictReport report;
  const auto kappas = finite_only(trace.kappa);
  report.mean_kappa = mean(kappas);
  const auto negative =
      std::count_if(kappas.begin(), kappas.end(), [](double value) { return value < 0; });
  report.fraction_negative =
      kappas.empty() ? not_a_number
                     : static_cast<double>(negative) / static_cast<double>(kappas.size());
  const std::span<const double> all = trace.kappa;
  for (size_t third = 0; third < 3; ++third) {
    const size_t from = third * all.size() / 3, to = (third + 1) * all.size() / 3;
    report.thirds_kappa[third] = mean(finite_only(all.subspan(from, to - from)));
  }
  report.median_ratio = median(finite_only(trace.ratio));
  const auto levels = static_cast<int64_t>(std::min(trace.loss_q.size(), trace.loss_a.size()));
  if ((levels - 1) / options.window >= options.least_windows)
    report.r_d = correlation_of_changes(trace.loss_q, trace.loss_a, options.window);
  report.anti_correlate =
      report.r_d < options.max_correlation && report.fraction_negative > options.min_negative;
  return report;
}

}  // namespace preimage::dcm
