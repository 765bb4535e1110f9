#include "projection.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>

namespace preimage::grpo {
namespace {

constexpr double kFired = 1e-6;
constexpr double kOverProjected = 1e-4;  // of the module's gradient
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

double ratio(double above, double below) {
  return below > 0 ? above / below : not_a_number;
}

double removed_part(double c, const ProjectionOptions& options) {
  switch (options.gate) {
    case Gate::one_sided:
      return options.overshoot * std::max(c, 0.0);
    case Gate::no_gate:
      return options.overshoot * c;
    case Gate::reverse:
      return options.overshoot * 2 * c;
  }
  return 0;
}

// Works in double and rounds once. Returns what is left along the axes, and whether one turned.
bool project_module(std::span<float> g, const ModuleDirections& module,
                    const ProjectionOptions& options) {
  const auto before = coefficients(g, module);
  const double length = norm(std::span<const float>(g));
  if (length == 0) return false;
  std::vector<double> left(g.begin(), g.end());
  for (int64_t i = 0; i < module.k; ++i) {
    const double removed = removed_part(before[static_cast<size_t>(i)], options);
    const auto v = module.row(i);
    for (size_t j = 0; j < left.size(); ++j) left[j] -= removed * v[j];
  }
  const double rest = norm(std::span<const double>(left));
  const double scale = options.preserve_magnitude && rest > 0 ? length / rest : 1;
  bool turned = false;
  for (int64_t i = 0; i < module.k; ++i) {
    const double after = dot(module.row(i), std::span<const double>(left));
    turned |= before[static_cast<size_t>(i)] > kOverProjected * length &&
              after < -kOverProjected * length;
  }
  for (size_t j = 0; j < left.size(); ++j) g[j] = static_cast<float>(scale * left[j]);
  return turned;
}

}  // namespace

std::vector<double> coefficients(std::span<const float> gradient, const ModuleDirections& module) {
  std::vector<double> out;
  for (int64_t i = 0; i < module.k; ++i) out.push_back(dot(module.row(i), gradient));
  return out;
}

AlignmentParts alignment_parts(std::span<const float> g, const ModuleDirections& module) {
  AlignmentParts out;
  const double length = norm(g);
  out.squares = length * length;
  for (const double c : coefficients(g, module)) out.pulled += c > 0 ? c * c : 0;
  out.along = dot(module.mean, g);
  out.contrast = dot(std::span<const double>(module.mean), std::span<const double>(module.mean));
  return out;
}

Alignment combine(std::span<const AlignmentParts> modules) {
  Alignment out;
  AlignmentParts all;
  double counted = 0, signed_counted = 0, fired = 0;
  for (const auto& part : modules) {
    all.squares += part.squares, all.pulled += part.pulled;
    all.along += part.along, all.contrast += part.contrast;
    if (part.squares == 0) continue;
    const double cos_in = std::sqrt(part.pulled / part.squares);
    out.cos_in += cos_in, counted += 1;
    fired += cos_in > kFired ? 1 : 0;
    if (part.contrast == 0) continue;
    out.cos_sgn += part.along / std::sqrt(part.squares * part.contrast), signed_counted += 1;
  }
  out.cos_in = ratio(out.cos_in, counted);
  out.cos_sgn = ratio(out.cos_sgn, signed_counted);
  out.cos_in_global = std::sqrt(ratio(all.pulled, all.squares));
  out.cos_sgn_global = ratio(all.along, std::sqrt(all.squares * all.contrast));
  out.frac_fired = fired / static_cast<double>(std::max<size_t>(1, modules.size()));
  out.norm = std::sqrt(all.squares);
  return out;
}

ModuleAlignment align_module(std::span<const float> gradient, const ModuleDirections& module) {
  const auto part = alignment_parts(gradient, module);
  return {std::sqrt(ratio(part.pulled, part.squares)),
          ratio(part.along, std::sqrt(part.squares * part.contrast)), std::sqrt(part.squares)};
}

Alignment align(std::span<const float> gradient, const Directions& directions) {
  std::vector<AlignmentParts> parts(directions.modules.size());
  at::parallel_for(0, std::ssize(parts), 1, [&](int64_t begin, int64_t end) {
    for (auto m = static_cast<size_t>(begin); m < static_cast<size_t>(end); ++m)
      parts[m] = alignment_parts(directions.modules[m].span.of(gradient), directions.modules[m]);
  });
  return combine(parts);
}

Projected project(std::span<float> gradient, const Directions& directions,
                  const ProjectionOptions& options) {
  std::vector<char> turned(directions.modules.size());
  at::parallel_for(0, std::ssize(turned), 1, [&](int64_t begin, int64_t end) {
    for (auto m = static_cast<size_t>(begin); m < static_cast<size_t>(end); ++m) {
      const auto& module = directions.modules[m];
      turned[m] = project_module(module.span.of(gradient), module, options) ? 1 : 0;
    }
  });
  return {align(gradient, directions), std::ranges::count(turned, 1) > 0};
}

Alignment leak(const Update& update, const Directions& directions) {
  std::vector<float> negative(update.before.size());
  for (size_t i = 0; i < negative.size(); ++i) {
    const double decayed = update.before[i] * (1 - update.decay);
    negative[i] = static_cast<float>(decayed - static_cast<double>(update.after[i]));
  }
  return align(negative, directions);
}

}  // namespace preimage::grpo
