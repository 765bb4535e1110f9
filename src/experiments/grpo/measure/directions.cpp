#include "directions.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/Parallel.h>

#include "preimage/base/error.hpp"
#include "preimage/base/statistics.hpp"
#include "preimage/base/str.hpp"

namespace preimage::grpo {
namespace {

constexpr double kSmallest = 1e-7;     // of the first singular value
constexpr double kOrthogonal = 1e-15;  // cosine of two rows that need no rotation
constexpr int kSweeps = 60;            // far more than ever needed: convergence is quadratic

// Turns rows p and q into orthogonal ones; false where they are already.
bool rotate(std::span<double> p, std::span<double> q) {
  const double alpha = dot(std::span<const double>(p), std::span<const double>(p));
  const double beta = dot(std::span<const double>(q), std::span<const double>(q));
  const double gamma = dot(std::span<const double>(p), std::span<const double>(q));
  if (std::abs(gamma) <= kOrthogonal * std::sqrt(alpha * beta) || gamma == 0) return false;
  const double zeta = (beta - alpha) / (2 * gamma);
  const double t = std::copysign(1.0, zeta) / (std::abs(zeta) + std::sqrt(1 + zeta * zeta));
  const double c = 1 / std::sqrt(1 + t * t), s = c * t;
  for (size_t i = 0; i < p.size(); ++i) {
    const double a = p[i], b = q[i];
    p[i] = c * a - s * b;
    q[i] = s * a + c * b;
  }
  return true;
}

// Share of pairs with <D_p, v> > 0.
double vote(const Rows& d, const ModuleSpan& span, std::span<const double> v) {
  int64_t positive = 0;
  for (int64_t p = 0; p < d.count(); ++p) positive += dot(v, span.of(d.row(p))) > 0 ? 1 : 0;
  return static_cast<double>(positive) / static_cast<double>(d.count());
}

ModuleDirections of_module(const Rows& d, const ModuleSpan& span, const ExtractionOptions& o) {
  const auto svd = thin_svd(d, span);
  ModuleDirections out{span};
  const double first = svd.singular.empty() ? 0 : svd.singular[0];
  while (out.k < std::min(o.k, std::ssize(svd.singular)) &&
         svd.singular[static_cast<size_t>(out.k)] >= o.relative_floor * first)
    ++out.k;
  out.singular.assign(svd.singular.begin(), svd.singular.begin() + out.k);
  out.v.assign(svd.v.begin(), svd.v.begin() + out.k * span.size);
  for (int64_t i = 0; i < out.k; ++i) {
    double share = vote(d, span, out.row(i));
    if (share < 0.5) {
      for (int64_t j = i * span.size; j < (i + 1) * span.size; ++j)
        out.v[static_cast<size_t>(j)] *= -1;
      share = vote(d, span, out.row(i));
    }
    out.votes.push_back(share);
  }
  out.mean.assign(static_cast<size_t>(span.size), 0);
  for (int64_t p = 0; p < d.count(); ++p) {
    const auto row = span.of(d.row(p));
    for (size_t j = 0; j < row.size(); ++j) out.mean[j] += row[j];
  }
  for (auto& value : out.mean) value /= static_cast<double>(d.count());
  return out;
}

// Keeps the axes of at least the floor: the first ones, since singular values fall.
void cut(ModuleDirections& module, double floor) {
  int64_t kept = 0;
  while (kept < module.k && module.singular[static_cast<size_t>(kept)] >= floor) ++kept;
  module.k = kept;
  module.singular.resize(static_cast<size_t>(kept));
  module.votes.resize(static_cast<size_t>(kept));
  module.v.resize(static_cast<size_t>(kept * module.span.size));
}

}  // namespace

double dot(std::span<const double> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * static_cast<double>(b[i]);
  return sum;
}

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double norm(std::span<const float> a) {
  double sum = 0;
  for (const float x : a) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

double norm(std::span<const double> a) {
  return std::sqrt(dot(a, a));
}

int64_t Directions::axes() const {
  int64_t sum = 0;
  for (const auto& module : modules) sum += module.k;
  return sum;
}

double Directions::mean_k() const {
  return modules.empty() ? 0 : static_cast<double>(axes()) / static_cast<double>(modules.size());
}

ThinSvd thin_svd(const Rows& d, const ModuleSpan& span) {
  const int64_t n = d.count();
  const auto size = static_cast<size_t>(span.size);
  std::vector<double> rows(static_cast<size_t>(n) * size);
  const auto row = [&](int64_t i) {
    return std::span<double>(rows).subspan(static_cast<size_t>(i) * size, size);
  };
  for (int64_t i = 0; i < n; ++i) std::ranges::copy(span.of(d.row(i)), row(i).begin());
  bool rotated = true;
  for (int sweep = 0; rotated && sweep < kSweeps; ++sweep) {
    rotated = false;
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) rotated |= rotate(row(p), row(q));
  }
  std::vector<double> lengths;
  for (int64_t i = 0; i < n; ++i) lengths.push_back(norm(std::span<const double>(row(i))));
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
    return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)];
  });
  ThinSvd out;
  for (const int64_t i : order) {
    const double length = lengths[static_cast<size_t>(i)];
    if (length == 0 || length < kSmallest * lengths[static_cast<size_t>(order[0])] ||
        std::ssize(out.singular) == span.size)
      break;
    out.singular.push_back(length);
    for (const double value : row(i)) out.v.push_back(value / length);
  }
  return out;
}

Directions extract_directions(const Rows& d, std::span<const ModuleSpan> spans,
                              const ExtractionOptions& options) {
  std::vector<ModuleDirections> found(spans.size());
  at::parallel_for(0, std::ssize(spans), 1, [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; ++m)
      found[static_cast<size_t>(m)] = of_module(d, spans[static_cast<size_t>(m)], options);
  });
  std::vector<double> pooled;
  Directions out;
  for (const auto& module : found) {
    out.modules_seen += module.k > 0 ? 1 : 0;
    pooled.insert(pooled.end(), module.singular.begin(), module.singular.end());
  }
  if (pooled.empty())
    throw base::data_error(base::str("the gradients of all ", d.count(),
                                     " pairs are zero; give pairs whose two completions differ"));
  std::ranges::sort(pooled);
  out.noise_floor = base::percentile(pooled, options.noise_quantile);
  for (auto& module : found) {
    cut(module, out.noise_floor);
    if (module.k > 0) out.modules.push_back(std::move(module));
  }
  return out;
}

double held_out_alignment(const Directions& directions, const Rows& heldout) {
  double sum = 0;
  for (int64_t p = 0; p < heldout.count(); ++p) {
    double along = 0, squares = 0;
    for (const auto& module : directions.modules) {
      const auto d = module.span.of(heldout.row(p));
      along += dot(module.row(0), d);
      squares += norm(d) * norm(d);
    }
    // v_1 of all modules side by side has length sqrt(modules).
    sum += along / std::sqrt(squares * static_cast<double>(directions.modules.size()));
  }
  return sum / static_cast<double>(heldout.count());
}

}  // namespace preimage::grpo
