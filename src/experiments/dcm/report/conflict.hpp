// Whether the question's and the answer's gradients pull against each other.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace preimage::dcm {

// Inner products of the two gradients of one problem at one step.
struct GradientProducts {
  double dot = 0;  // <g_Q, g_A>
  double qq = 0;   // |g_Q|^2
  double aa = 0;   // |g_A|^2
};

// Cosine of the angle between the gradients; NaN where one of them is zero.
double kappa(const GradientProducts& products);

// |g_Q| / |g_A|; infinite where g_A is zero, NaN where both are.
double gradient_ratio(const GradientProducts& products);

// With kappa < 0 each gradient is projected onto the normal plane of the other, both from the
// original gradients: g_Q' = g_Q - q_on_a g_A, g_A' = g_A - a_on_q g_Q (Yu et al., "Gradient
// Surgery for Multi-Task Learning", 2020, algorithm 1). Both are 0 with kappa >= 0: nothing
// changes.
struct ProjectionFactors {
  double q_on_a = 0;
  double a_on_q = 0;
};
ProjectionFactors projection_factors(const GradientProducts& products);

// Pearson correlation; NaN for fewer than two points or where one side is constant.
double pearson(std::span<const double> x, std::span<const double> y);

// r_d: the Pearson correlation of the changes of the two losses over successive windows of `window`
// steps (change j = loss[(j + 1) window] - loss[j window]; a rest shorter than a window is
// dropped). The correlation of the levels would be useless: two falling curves correlate. NaN for
// fewer than two windows.
double correlation_of_changes(std::span<const double> loss_q, std::span<const double> loss_a,
                              int64_t window);

// One trajectory, a value for each step.
struct ConflictTrace {
  std::vector<double> kappa;
  std::vector<double> ratio;  // |g_Q| / |g_A|
  std::vector<double> loss_q;
  std::vector<double> loss_a;
};

struct ConflictOptions {
  int64_t window = 10;  // steps
  // r_d of fewer windows is NaN: two always give -1 or 1, and few of anything lie below -0.3 by
  // chance (of independent changes 3 in 10 with five windows, 2 in 10 with ten).
  int64_t least_windows = 10;
  double max_correlation = -0.3;  // r_d below this ...
  double min_negative = 0.5;      // ... and more than this fraction of steps with kappa < 0
};

// NaN: not known.
struct ConflictReport {
  static constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  double mean_kappa = unknown;
  double fraction_negative = unknown;  // of the steps where kappa is defined
  // Mean of kappa over the first, second, last third of steps.
  std::array<double, 3> thirds_kappa = {unknown, unknown, unknown};
  double r_d = unknown;
  double median_ratio = unknown;  // |g_Q| / |g_A|
  bool anti_correlate = false;    // false where known() is
  // Whether there was enough to judge by.
  bool known() const { return r_d == r_d && fraction_negative == fraction_negative; }
};

// Steps where kappa (the ratio) is not finite count in no mean (median); NaN where none is left.
ConflictReport judge_conflict(const ConflictTrace& trace, const ConflictOptions& options = {});

}  // namespace preimage::dcm
