#include "line_search.hpp"

#include <algorithm>
#include <cmath>

namespace preimage::optim {
namespace {

constexpr double kExtrapolateLeast = 1.1, kExtrapolateMost = 4;
constexpr double kShrink = 0.66;  // a bracket that shrinks by less is halved

double clamp_to(double x, double low, double high) {
  return std::max(low, std::min(high, x));
}

}  // namespace

LineSearch::LineSearch(const Options& options, double value, double slope, double step)
    : options_(options),
      start_{0, value, slope},
      best_(start_),
      other_(start_),
      step_(step),
      lower_(0),
      upper_(step + kExtrapolateMost * step),
      width_(options.longest),
      width_before_(2 * options.longest) {}

// The cubic and quadratic steps of dcstep, by the four cases of what the trial shows.
double LineSearch::next_step(const End& t) {
  const double sign = t.slope * (best_.slope / std::abs(best_.slope));
  const double between = t.step - best_.step;
  const auto cubic_root = [](double theta, double a, double b, bool floored) {
    const double s = std::max({std::abs(theta), std::abs(a), std::abs(b)});
    const double inner = (theta / s) * (theta / s) - (a / s) * (b / s);
    return s * std::sqrt(floored ? std::max(0.0, inner) : inner);
  };
  if (t.value > best_.value) {  // a minimum lies between: closer to the best of the two
    const double theta = 3 * (best_.value - t.value) / between + best_.slope + t.slope;
    double gamma = cubic_root(theta, best_.slope, t.slope, false);
    if (t.step < best_.step) gamma = -gamma;
    const double r = (gamma - best_.slope + theta) / (gamma - best_.slope + gamma + t.slope);
    const double cubic = best_.step + r * between;
    const double slope = (best_.value - t.value) / between + best_.slope;
    const double quadratic = best_.step + best_.slope / slope / 2 * between;
    bracketed_ = true;
    return std::abs(cubic - best_.step) < std::abs(quadratic - best_.step)
               ? cubic
               : cubic + (quadratic - cubic) / 2;
  }
  const double secant = t.step + t.slope / (t.slope - best_.slope) * (best_.step - t.step);
  if (sign < 0) {  // the slope changes its sign: the farther of the two
    const double theta = 3 * (best_.value - t.value) / between + best_.slope + t.slope;
    double gamma = cubic_root(theta, best_.slope, t.slope, false);
    if (t.step > best_.step) gamma = -gamma;
    const double r = (gamma - t.slope + theta) / (gamma - t.slope + gamma + best_.slope);
    const double cubic = t.step + r * (best_.step - t.step);
    bracketed_ = true;
    return std::abs(cubic - t.step) > std::abs(secant - t.step) ? cubic : secant;
  }
  if (std::abs(t.slope) <
      std::abs(best_.slope)) {  // the slope flattens: the cubic may have no minimum
    const double theta = 3 * (best_.value - t.value) / between + best_.slope + t.slope;
    double gamma = cubic_root(theta, best_.slope, t.slope, true);
    if (t.step > best_.step) gamma = -gamma;
    const double r = (gamma - t.slope + theta) / (gamma + (best_.slope - t.slope) + gamma);
    double cubic = t.step > best_.step ? upper_ : lower_;
    if (r < 0 && gamma != 0) cubic = t.step + r * (best_.step - t.step);
    const bool cubic_nearer = std::abs(cubic - t.step) < std::abs(secant - t.step);
    if (!bracketed_) return clamp_to(cubic_nearer ? secant : cubic, lower_, upper_);
    const double chosen = cubic_nearer ? cubic : secant;
    const double most = t.step + kShrink * (other_.step - t.step);
    return t.step > best_.step ? std::min(most, chosen) : std::max(most, chosen);
  }
  if (!bracketed_) return t.step > best_.step ? upper_ : lower_;
  const double theta =
      3 * (t.value - other_.value) / (other_.step - t.step) + other_.slope + t.slope;
  double gamma = cubic_root(theta, other_.slope, t.slope, false);
  if (t.step > other_.step) gamma = -gamma;
  const double r = (gamma - t.slope + theta) / (gamma - t.slope + gamma + other_.slope);
  return t.step + r * (other_.step - t.step);
}

// The interval that holds a minimum, after the trial.
void LineSearch::move(const End& t) {
  if (t.value > best_.value) {
    other_ = t;
    return;
  }
  if (t.slope * (best_.slope / std::abs(best_.slope)) < 0) other_ = best_;
  best_ = t;
}

bool LineSearch::tell(double value, double slope) {
  const double test = options_.decrease * start_.slope;
  const double promised = start_.value + step_ * test;
  if (value <= promised && slope >= test) first_stage_ = false;
  if (value <= promised && std::abs(slope) <= options_.curvature * -start_.slope) return true;
  const bool stuck = bracketed_ && (step_ <= lower_ || step_ >= upper_ ||
                                    upper_ - lower_ <= options_.resolution * upper_);
  const bool at_longest = step_ == options_.longest && value <= promised && slope <= test;
  const bool at_shortest = step_ == 0 && (value > promised || slope >= test);
  if (stuck || at_longest || at_shortest) return true;  // MINPACK's warnings: the step is taken

  // In the first stage, on the function less what it must fall by.
  const bool modified = first_stage_ && value <= best_.value && value > promised;
  const auto shift = [&](End& e, double by) {
    e.value -= by * e.step * test;
    e.slope -= by * test;
  };
  End trial{step_, value, slope};
  if (modified) shift(trial, 1), shift(best_, 1), shift(other_, 1);
  double next = next_step(trial);
  move(trial);
  if (modified) shift(best_, -1), shift(other_, -1);
  if (bracketed_) {
    if (std::abs(other_.step - best_.step) >= kShrink * width_before_)
      next = best_.step + (other_.step - best_.step) / 2;
    width_before_ = width_;
    width_ = std::abs(other_.step - best_.step);
    lower_ = std::min(best_.step, other_.step), upper_ = std::max(best_.step, other_.step);
  } else {
    lower_ = next + kExtrapolateLeast * (next - best_.step);
    upper_ = next + kExtrapolateMost * (next - best_.step);
  }
  step_ = clamp_to(next, 0, options_.longest);
  const bool no_room = bracketed_ && (step_ <= lower_ || step_ >= upper_ ||
                                      upper_ - lower_ <= options_.resolution * upper_);
  if (no_room) step_ = best_.step;
  failed_ = !std::isfinite(step_);
  return failed_;
}

}  // namespace preimage::optim
