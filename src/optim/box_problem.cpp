#include "box_problem.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "preimage/base/error.hpp"

namespace preimage::optim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

// Four numbers, at any address.
using Lanes = double __attribute__((vector_size(32), aligned(8), may_alias));

const Lanes& lanes(const double* x) {
  return *reinterpret_cast<const Lanes*>(x);
}

double dot(const double* a, const Vector& b) {
  const size_t n = b.size();
  Lanes sums{};
  size_t i = 0;
  for (; i + 4 <= n; i += 4) sums += lanes(a + i) * lanes(b.data() + i);
  double rest = 0;
  for (; i < n; ++i) rest += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest;
}

double dot(const Vector& a, const Vector& b) {
  return dot(a.data(), b);
}

// to += factor from, n numbers.
void add_times(double factor, const double* from, double* to, int64_t n) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) *reinterpret_cast<Lanes*>(to + i) += factor * lanes(from + i);
  for (; i < n; ++i) to[i] += factor * from[i];
}

// Solves a [n, n] x = b [n, columns] in place of b, rows pivoted. False where a is singular.
bool solve(Vector a, int64_t n, Vector& b, int64_t columns) {
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t i = k + 1; i < n; ++i)
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    if (!(std::abs(a[pivot * n + k]) > 0) || !std::isfinite(a[pivot * n + k])) return false;
    if (pivot != k) {
      std::swap_ranges(a.begin() + k * n, a.begin() + (k + 1) * n, a.begin() + pivot * n);
      std::swap_ranges(b.begin() + k * columns, b.begin() + (k + 1) * columns,
                       b.begin() + pivot * columns);
    }
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / a[k * n + k];
      if (factor == 0) continue;
      add_times(-factor, a.data() + k * n + k, a.data() + i * n + k, n - k);
      add_times(-factor, b.data() + k * columns, b.data() + i * columns, columns);
    }
  }
  for (int64_t k = n - 1; k >= 0; --k) {
    double* row = b.data() + k * columns;
    for (int64_t i = k + 1; i < n; ++i)
      add_times(-a[k * n + i], b.data() + i * columns, row, columns);
    for (int64_t j = 0; j < columns; ++j) row[j] /= a[k * n + k];
  }
  return true;
}

}  // namespace

// ---- memory
// --------------------------------------------------------------------------------------

void BoxMemory::clear() {
  steps_.clear(), changes_.clear(), middle_.clear();
  theta_ = 1;
}

// Products of the newest step with all changes and steps; what is known of the others moves up.
void BoxMemory::add_products() {
  const int64_t m = size(), last = m - 1;
  if (step_change_.empty()) step_change_.resize(most_ * most_), step_step_.resize(most_ * most_);
  if (dropped_) {
    for (int64_t i = 0; i < last; ++i) {
      for (int64_t j = 0; j < last; ++j) {
        step_change_[i * most_ + j] = step_change_[(i + 1) * most_ + j + 1];
        step_step_[i * most_ + j] = step_step_[(i + 1) * most_ + j + 1];
      }
    }
  }
  for (int64_t j = 0; j < m; ++j) {
    step_change_[last * most_ + j] = dot(steps_[last], changes_[j]);
    step_step_[last * most_ + j] = dot(steps_[last], steps_[j]);
  }
}

bool BoxMemory::add(Vector step, Vector change) {
  theta_ = dot(change, change) / dot(step, change);
  steps_.push_back(std::move(step)), changes_.push_back(std::move(change));
  dropped_ = size() > most_;
  if (dropped_) steps_.erase(steps_.begin()), changes_.erase(changes_.begin());
  add_products();
  // M^-1 = [[-D, L'], [L, theta S'S]], L_ij = s_i y_j below the diagonal, D its diagonal.
  const int64_t m = size(), n = 2 * m;
  Vector inverse(n * n);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const double sy = step_change_[i * most_ + j];
      if (i == j) {
        inverse[i * n + i] = -sy;
      } else {
        inverse[(m + i) * n + j] = inverse[j * n + m + i] = sy;
      }
      inverse[(m + i) * n + m + j] = inverse[(m + j) * n + m + i] =
          theta_ * step_step_[i * most_ + j];
    }
  }
  const auto d = static_cast<int64_t>(steps_.front().size());
  rows_.resize(static_cast<size_t>(d * n));
  for (int64_t k = 0; k < m; ++k) {
    for (int64_t i = 0; i < d; ++i) {
      rows_[i * n + k] = changes_[k][i];
      rows_[i * n + m + k] = theta_ * steps_[k][i];
    }
  }
  middle_.assign(n * n, 0);
  for (int64_t i = 0; i < n; ++i) middle_[i * n + i] = 1;
  if (solve(inverse, n, middle_, n)) return true;
  clear();
  return false;
}

Vector BoxMemory::transposed_times(const Vector& x) const {
  Vector out;
  for (const auto& y : changes_) out.push_back(dot(y, x));
  for (const auto& s : steps_) out.push_back(theta_ * dot(s, x));
  return out;
}

// M is symmetric: a sum of its rows.
void BoxMemory::middle_times(const double* x, Vector& out) const {
  const int64_t n = 2 * size();
  out.assign(n, 0);
  for (int64_t j = 0; j < n; ++j) add_times(x[j], middle_.data() + j * n, out.data(), n);
}

// ---- problem
// -------------------------------------------------------------------------------------

BoxProblem::BoxProblem(Vector start, Vector lower, Vector upper, const LbfgsBoxOptions& options)
    : options_(options),
      lower_(std::move(lower)),
      upper_(std::move(upper)),
      x_(std::move(start)),
      gradient_(x_.size()),
      direction_(x_.size()),
      memory_(options.memory) {
  for (size_t i = 0; i < x_.size(); ++i) {
    base::check(lower_[i] <= upper_[i], "a box's lower bounds lie below its upper ones");
    x_[i] = clamp(i, x_[i]);
  }
  trial_ = x_;
}

double BoxProblem::clamp(int64_t i, double x) const {
  return std::max(lower_[i], std::min(upper_[i], x));
}

int64_t BoxProblem::active_bounds() const {
  int64_t count = 0;
  for (size_t i = 0; i < x_.size(); ++i) count += x_[i] <= lower_[i] || x_[i] >= upper_[i];
  return count;
}

double BoxProblem::largest_projected_gradient() const {
  double out = 0;
  for (size_t i = 0; i < x_.size(); ++i)
    out = std::max(out, std::abs(clamp(i, x_[i] - gradient_[i]) - x_[i]));
  return out;
}

// The first minimum along the projected steepest descent of the quadratic model (section 4).
BoxProblem::Cauchy BoxProblem::cauchy_point() const {
  const int64_t d = static_cast<int64_t>(x_.size());
  Cauchy out{x_, Vector(2 * memory_.size())};
  Vector ends(d, kInfinity), move(d);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < d; ++i) {
    const double g = gradient_[i];
    if (g != 0) ends[i] = (x_[i] - (g < 0 ? upper_[i] : lower_[i])) / g;
    if (ends[i] <= 0) continue;
    move[i] = -g;
    order.push_back(i);
  }
  std::ranges::stable_sort(order, {}, [&](int64_t i) { return ends[i]; });
  const double theta = memory_.theta();
  Vector p = memory_.transposed_times(move);
  double slope = -dot(move, move);
  Vector mw;
  memory_.middle_times(p.data(), mw);
  double curve = -theta * slope - dot(p, mw);
  const double least = kEpsilon * -theta * slope;
  double at = 0, wanted = -slope / std::max(curve, least);
  size_t next = 0;
  for (; next < order.size() && slope < 0; ++next) {
    const int64_t b = order[next];
    const double span = ends[b] - at;
    if (wanted < span) break;
    out.x[b] = gradient_[b] < 0 ? upper_[b] : lower_[b];
    const double g = gradient_[b], z = out.x[b] - x_[b];
    for (size_t k = 0; k < p.size(); ++k) out.c[k] += span * p[k];
    const double* w = memory_.row(b);
    memory_.middle_times(w, mw);
    slope += span * curve + g * g + theta * g * z - g * dot(mw, out.c);
    curve -= theta * g * g + 2 * g * dot(mw, p) + g * g * dot(w, mw);
    curve = std::max(curve, least);
    for (size_t k = 0; k < p.size(); ++k) p[k] += g * w[k];
    move[b] = 0;
    wanted = -slope / curve;
    at = ends[b];
  }
  wanted = std::max(wanted, 0.0);
  if (!std::isfinite(wanted)) wanted = 0;
  for (size_t k = next; k < order.size(); ++k) {
    const int64_t i = order[k];
    out.x[i] = clamp(i, x_[i] + (at + wanted) * move[i]);
  }
  for (size_t k = 0; k < p.size(); ++k) out.c[k] += wanted * p[k];
  return out;
}

// The model's minimum over the coordinates that are free at the Cauchy point (section 5.1), brought
// back into the box by projection, or by shortening where that is not a descent (Morales and
// Nocedal, ACM TOMS 38(1), 2011).
Vector BoxProblem::subspace_minimum(const Cauchy& cauchy) const {
  const int64_t n = 2 * memory_.size();
  std::vector<int64_t> free;
  for (size_t i = 0; i < x_.size(); ++i)
    if (cauchy.x[i] > lower_[i] && cauchy.x[i] < upper_[i]) free.push_back(static_cast<int64_t>(i));
  if (free.empty() || n == 0) return cauchy.x;
  const double theta = memory_.theta();
  Vector mc, mv, reduced, v(n), gram(n * n);
  memory_.middle_times(cauchy.c.data(), mc);
  for (const int64_t i : free) {
    const double* w = memory_.row(i);
    reduced.push_back(gradient_[i] + theta * (cauchy.x[i] - x_[i]) - dot(w, mc));
    add_times(reduced.back(), w, v.data(), n);
    for (int64_t k = 0; k < n; ++k) add_times(w[k], w, gram.data() + k * n, k + 1);
  }
  for (int64_t k = 0; k < n; ++k)
    for (int64_t j = 0; j <= k; ++j) gram[j * n + k] = gram[k * n + j] /= theta;
  memory_.middle_times(v.data(), mv);
  Vector system(n * n);  // I - M W' Z Z' W / theta
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < n; ++k)
      add_times(-memory_.middle()[i * n + k], gram.data() + k * n, system.data() + i * n, n);
    system[i * n + i] += 1;
  }
  if (!solve(std::move(system), n, mv, 1)) return cauchy.x;
  Vector out = cauchy.x, step(free.size());
  double descent = 0, longest = 1;
  for (size_t k = 0; k < free.size(); ++k) {
    const int64_t i = free[k];
    step[k] = -reduced[k] / theta - dot(memory_.row(i), mv) / (theta * theta);
    out[i] = clamp(i, cauchy.x[i] + step[k]);
    const double room = (step[k] > 0 ? upper_[i] : lower_[i]) - cauchy.x[i];
    if (step[k] != 0) longest = std::min(longest, std::max(0.0, room / step[k]));
  }
  for (size_t i = 0; i < x_.size(); ++i) descent += (out[i] - x_[i]) * gradient_[i];
  if (descent <= 0) return out;
  for (size_t k = 0; k < free.size(); ++k)
    out[free[k]] = clamp(free[k], cauchy.x[free[k]] + longest * step[k]);
  return out;
}

double BoxProblem::longest_step() const {
  double longest = 1e10;
  for (size_t i = 0; i < x_.size(); ++i) {
    const double d = direction_[i];
    if (d == 0) continue;
    const double room = (d > 0 ? upper_[i] : lower_[i]) - x_[i];
    longest = std::min(longest, std::max(0.0, room / d));
  }
  return longest;
}

bool BoxProblem::choose_direction() {
  const Vector target = subspace_minimum(cauchy_point());
  for (size_t i = 0; i < x_.size(); ++i) direction_[i] = target[i] - x_[i];
  return dot(direction_, gradient_) < 0;
}

void BoxProblem::begin_iteration() {
  if (!choose_direction()) {
    // What the memory says is no descent: once more without it.
    const bool remembered = memory_.size() > 0;
    memory_.clear();
    if (!remembered || !choose_direction()) {
      stop_ = BoxStop::line_search;
      return;
    }
  }
  const bool boxed = std::ranges::all_of(lower_, [](double x) { return std::isfinite(x); }) &&
                     std::ranges::all_of(upper_, [](double x) { return std::isfinite(x); });
  longest_ = iterations_ == 0 && boxed ? 1 : std::max(longest_step(), kEpsilon);
  const double norm = std::sqrt(dot(direction_, direction_));
  const double first =
      iterations_ == 0 && !boxed ? std::min(1 / norm, longest_) : std::min(1.0, longest_);
  search_.emplace(LineSearch::Options{.longest = longest_}, value_, dot(direction_, gradient_),
                  first);
  searched_ = 0;
  place_trial();
}

void BoxProblem::place_trial() {
  for (size_t i = 0; i < x_.size(); ++i)
    trial_[i] = clamp(i, x_[i] + search_->step() * direction_[i]);
}

// The value there was not finite: a search of its own over shorter steps.
void BoxProblem::step_back() {
  longest_ = search_->step() / 10;
  search_.emplace(LineSearch::Options{.longest = longest_}, value_, dot(direction_, gradient_),
                  longest_);
  place_trial();
}

void BoxProblem::first(double value, const double* gradient) {
  started_ = true;
  value_ = value;
  gradient_.assign(gradient, gradient + x_.size());
  base::check(std::isfinite(value), "a bounded problem has a finite value at its start");
  if (largest_projected_gradient() <= options_.projected_gradient) {
    stop_ = BoxStop::projected_gradient;
  } else if (options_.max_iterations == 0) {
    stop_ = BoxStop::max_iterations;
  } else {
    begin_iteration();
  }
}

void BoxProblem::tell(double value, const double* gradient) {
  ++evaluations_;
  if (!started_) return first(value, gradient);
  ++searched_;
  double slope = 0;
  for (size_t i = 0; i < x_.size(); ++i) slope += gradient[i] * direction_[i];
  const bool spent = searched_ >= options_.max_line_search;
  if (!std::isfinite(value) || !std::isfinite(slope)) return spent ? give_up_step() : step_back();
  const bool over = search_->tell(value, slope);
  if (over && !search_->failed()) return accept(value, gradient);
  if (over || spent) return give_up_step();
  place_trial();
}

// No step of this direction will do: without the memory once more, or the end.
void BoxProblem::give_up_step() {
  if (memory_.size() == 0) {
    stop_ = BoxStop::line_search;
    return;
  }
  memory_.clear();
  begin_iteration();
}

void BoxProblem::accept(double value, const double* gradient) {
  Vector step(x_.size()), change(x_.size());
  for (size_t i = 0; i < x_.size(); ++i) {
    step[i] = trial_[i] - x_[i];
    change[i] = gradient[i] - gradient_[i];
  }
  const double along = -dot(step, gradient_), curvature = dot(step, change);
  const double before = value_;
  x_ = trial_;
  value_ = value;
  gradient_.assign(gradient, gradient + x_.size());
  ++iterations_;
  if (largest_projected_gradient() <= options_.projected_gradient) {
    stop_ = BoxStop::projected_gradient;
    return;
  }
  const double scale = std::max({std::abs(before), std::abs(value), 1.0});
  if (before - value <= options_.relative_reduction * scale) {
    stop_ = BoxStop::relative_reduction;
    return;
  }
  if (iterations_ >= options_.max_iterations) {
    stop_ = BoxStop::max_iterations;
    return;
  }
  if (curvature > kEpsilon * along) memory_.add(std::move(step), std::move(change));
  begin_iteration();
}

}  // namespace preimage::optim
