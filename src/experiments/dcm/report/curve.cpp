#include "report/curve.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "preimage/base/error.hpp"

namespace preimage::dcm {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

double median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return 0.5 * (*middle + *std::max_element(values.begin(), middle));
}

// Sum of rises over sum of falls; infinite when it only rises, 0 when nothing moves.
double rises_to_falls(std::span<const double> losses) {
  double up = 0, down = 0;
  for (size_t i = 1; i < losses.size(); ++i) {
    const double change = losses[i] - losses[i - 1];
    (change > 0 ? up : down) += std::abs(change);
  }
  if (down > 0) return up / down;
  return up > 0 ? std::numeric_limits<double>::infinity() : 0;
}

int64_t first_at_or_below(std::span<const double> values, double level) {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](double v) { return v <= level; });
  return found - values.begin();
}

CurveClass class_of(const CurveReport& report, int64_t count) {
  if (!(report.drop >= 0.05)) return CurveClass::flat;
  if (report.rebound > 0.25) return CurveClass::diverging;
  if (report.up_down > 0.5) return CurveClass::oscillating;
  const double fifth = 0.2 * static_cast<double>(count);
  const bool plateau = static_cast<double>(report.t10) >= fifth;
  const bool sudden = static_cast<double>(report.t50 - report.t10) <= fifth;
  return plateau && sudden ? CurveClass::plateau_then_drop : CurveClass::monotone;
}

}  // namespace

std::string_view name(CurveClass curve) {
  switch (curve) {
    case CurveClass::diverged:
      return "DIVERGED";
    case CurveClass::flat:
      return "FLAT";
    case CurveClass::diverging:
      return "DIVERGING";
    case CurveClass::oscillating:
      return "OSCILLATING";
    case CurveClass::plateau_then_drop:
      return "PLATEAU_THEN_DROP";
    case CurveClass::monotone:
      return "MONOTONE";
  }
  return "";
}

std::string_view health(CurveClass curve) {
  if (curve == CurveClass::oscillating) return "WARN";
  const bool ok = curve == CurveClass::plateau_then_drop || curve == CurveClass::monotone;
  return ok ? "OK" : "FAIL";
}

std::vector<double> running_median(std::span<const double> values, int64_t width) {
  base::check(width > 0 && width % 2 == 1, "a running median has an odd width");
  const auto count = static_cast<int64_t>(values.size());
  std::vector<double> medians, window;
  medians.reserve(values.size());
  for (int64_t i = 0; i < count; ++i) {
    const auto from = std::max<int64_t>(0, i - width / 2);
    const auto to = std::min(count, i + width / 2 + 1);
    window.assign(values.begin() + from, values.begin() + to);
    medians.push_back(median(window));
  }
  return medians;
}

CurveReport classify_curve(std::span<const double> losses) {
  base::check(!losses.empty(), "a loss curve has at least one step");
  if (!std::all_of(losses.begin(), losses.end(), [](double v) { return std::isfinite(v); })) {
    return {CurveClass::diverged, not_a_number, not_a_number, not_a_number, -1, -1};
  }
  const auto count = static_cast<int64_t>(losses.size());
  const auto s = running_median(losses, std::max<int64_t>(5, 2 * (count / 100) + 1));
  const double first = s.front(), least = *std::min_element(s.begin(), s.end());
  const int64_t tail = std::max<int64_t>(1, count / 20);
  double last = 0;
  for (int64_t i = count - tail; i < count; ++i) last += s[static_cast<size_t>(i)];
  last /= static_cast<double>(tail);

  const double fall = first - least;
  CurveReport report;
  report.drop = first > 0 ? fall / first : 0;  // a loss of 0 from the start cannot fall
  report.rebound = fall > 0 ? (last - least) / fall : 0;
  report.up_down = rises_to_falls(losses);
  report.t10 = first_at_or_below(s, first - 0.1 * fall);
  report.t50 = first_at_or_below(s, first - 0.5 * fall);
  report.curve = class_of(report, count);
  return report;
}

}  // namespace preimage::dcm
