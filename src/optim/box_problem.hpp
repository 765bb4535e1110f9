// One bounded problem of L-BFGS-B, as a machine that says where it wants to be evaluated next.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "line_search.hpp"
#include "preimage/optim/lbfgs_box.hpp"

namespace preimage::optim {

using Vector = std::vector<double>;

// The last steps and changes of the gradient, in the compact form B = theta I - W M W',
// W = [Y, theta S] (Byrd, Nocedal and Schnabel 1994).
class BoxMemory {
 public:
  explicit BoxMemory(int64_t most) : most_(most) {}
  int64_t size() const { return static_cast<int64_t>(steps_.size()); }
  double theta() const { return theta_; }
  void clear();
  // False, and empty, where the middle matrix is singular.
  bool add(Vector step, Vector change);
  const double* row(int64_t i) const { return rows_.data() + 2 * size() * i; }  // of W, [2 size]
  Vector transposed_times(const Vector& x) const;                               // W' x
  void middle_times(const double* x, Vector& out) const;                        // M x
  const Vector& middle() const { return middle_; }

 private:
  void add_products();

  int64_t most_;
  double theta_ = 1;
  bool dropped_ = false;  // the oldest, for the newest
  // s_i y_j and s_i s_j for j <= i, [most, most].
  Vector step_change_, step_step_;
  std::vector<Vector> steps_, changes_;
  Vector rows_;    // W [d, 2 size]
  Vector middle_;  // M [2 size, 2 size]
};

class BoxProblem {
 public:
  BoxProblem(Vector start, Vector lower, Vector upper, const LbfgsBoxOptions& options);

  bool done() const { return stop_.has_value(); }
  const Vector& trial() const { return trial_; }  // to be evaluated
  void tell(double value, const double* gradient);

  const Vector& x() const { return x_; }
  double value() const { return value_; }
  int64_t iterations() const { return iterations_; }
  int64_t evaluations() const { return evaluations_; }
  BoxStop stop() const { return *stop_; }
  int64_t active_bounds() const;

 private:
  struct Cauchy {
    Vector x, c;  // the point, and W' (x - x_k)
  };
  void first(double value, const double* gradient);
  void begin_iteration();
  bool choose_direction();  // false: not one of descent
  Cauchy cauchy_point() const;
  Vector subspace_minimum(const Cauchy& cauchy) const;
  double longest_step() const;
  void place_trial();
  void step_back();
  void accept(double value, const double* gradient);
  void give_up_step();
  double largest_projected_gradient() const;
  double clamp(int64_t i, double x) const;

  LbfgsBoxOptions options_;
  Vector lower_, upper_, x_, gradient_, trial_, direction_;
  double value_ = 0, longest_ = 0;
  BoxMemory memory_;
  std::optional<LineSearch> search_;
  std::optional<BoxStop> stop_;
  bool started_ = false;
  int64_t iterations_ = 0, evaluations_ = 0, searched_ = 0;
};

}  // namespace preimage::optim
