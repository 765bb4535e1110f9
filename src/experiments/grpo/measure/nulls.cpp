#include "nulls.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/Parallel.h>

#include "preimage/base/error.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"

namespace preimage::grpo {
namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
constexpr double kDependent = 1e-10;  // of a row's length: nothing is left of it

// parts[step] of one module and draw.
using StepParts = std::vector<AlignmentParts>;

// Rows of `module` become orthonormal, each against those before it, twice (Gram-Schmidt with one
// repetition is as good as Householder's). A row that depends on them is dropped with all behind.
void orthonormalise(ModuleDirections& module) {
  const auto size = static_cast<size_t>(module.span.size);
  int64_t kept = 0;
  for (; kept < module.k; ++kept) {
    const auto row = std::span<double>(module.v).subspan(static_cast<size_t>(kept) * size, size);
    const double before = norm(std::span<const double>(row));
    for (int repeat = 0; repeat < 2; ++repeat) {
      for (int64_t i = 0; i < kept; ++i) {
        const double along = dot(module.row(i), std::span<const double>(row));
        const auto v = module.row(i);
        for (size_t j = 0; j < size; ++j) row[j] -= along * v[j];
      }
    }
    const double left = norm(std::span<const double>(row));
    if (left <= kDependent * before || before == 0) break;
    for (auto& value : row) value /= left;
  }
  module.k = kept;
  module.v.resize(static_cast<size_t>(kept) * size);
}

base::RandomStream stream_of(NullKind kind, const NullInput& input, const std::string& module,
                             int64_t draw) {
  return {input.seed, module, base::str("null ", null_name(kind), " ", draw)};
}

StepParts parts_of_steps(const ModuleDirections& drawn, const Rows& gradients) {
  StepParts out;
  for (int64_t s = 0; s < gradients.count(); ++s)
    out.push_back(alignment_parts(drawn.span.of(gradients.row(s)), drawn));
  return out;
}

// The drawn d is the first row before the others are made orthogonal, as long as the real one: the
// concatenated measure weighs modules by it.
void take_mean(ModuleDirections& drawn, const ModuleDirections& real) {
  const double length = norm(std::span<const double>(real.mean));
  drawn.mean.assign(drawn.row(0).begin(), drawn.row(0).end());
  const double own = norm(std::span<const double>(drawn.mean));
  for (auto& value : drawn.mean) value *= own > 0 ? length / own : 0;
}

StepParts random_draw(const ModuleDirections& real, const NullInput& input, int64_t draw) {
  const auto stream = stream_of(NullKind::random, input, real.span.module, draw);
  ModuleDirections drawn{real.span, real.k};
  drawn.v.resize(real.v.size());
  for (size_t i = 0; i < drawn.v.size(); ++i) drawn.v[i] = stream.normal(i);
  take_mean(drawn, real);
  orthonormalise(drawn);
  return parts_of_steps(drawn, *input.gradients);
}

StepParts anisotropic_draw(const ModuleDirections& real, const NullInput& input, int64_t draw) {
  const auto& base = *input.material;
  const int64_t rows = std::min(real.k, base.count() - 1);
  const auto size = static_cast<size_t>(real.span.size);
  const auto stream = stream_of(NullKind::anisotropic, input, real.span.module, draw);
  std::vector<double> centre(size);
  for (int64_t b = 0; b < base.count(); ++b) {
    const auto g = real.span.of(base.row(b));
    for (size_t j = 0; j < size; ++j) centre[j] += g[j] / static_cast<double>(base.count());
  }
  ModuleDirections drawn{real.span, rows};
  drawn.v.resize(static_cast<size_t>(rows) * size);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t b = 0; b < base.count(); ++b) {
      const double z = stream.normal(static_cast<uint64_t>(i * base.count() + b));
      const auto g = real.span.of(base.row(b));
      for (size_t j = 0; j < size; ++j)
        drawn.v[static_cast<size_t>(i) * size + j] += z * (g[j] - centre[j]);
    }
  }
  take_mean(drawn, real);
  orthonormalise(drawn);
  return parts_of_steps(drawn, *input.gradients);
}

// What one module of the shuffled null is computed from, once for all draws.
struct ShuffledModule {
  std::vector<double> votes;    // [pairs, k] <D_p, v_i>
  std::vector<double> gram;     // [pairs, pairs] <D_p, D_q>
  std::vector<double> along;    // [steps, pairs] <g_s, D_p>
  std::vector<double> axes;     // [steps, k] <g_s, v_i>
  std::vector<double> squares;  // [steps] |g_s|^2
  int64_t pairs = 0, k = 0;
};

double plain_dot(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

ShuffledModule shuffled_module(const ModuleDirections& real, const NullInput& input) {
  const auto& d = *input.material;
  ShuffledModule out;
  out.pairs = d.count(), out.k = real.k;
  for (int64_t p = 0; p < d.count(); ++p) {
    const auto row = real.span.of(d.row(p));
    for (int64_t i = 0; i < real.k; ++i) out.votes.push_back(dot(real.row(i), row));
    for (int64_t q = 0; q < d.count(); ++q)
      out.gram.push_back(plain_dot(row, real.span.of(d.row(q))));
  }
  for (int64_t s = 0; s < input.gradients->count(); ++s) {
    const auto g = real.span.of(input.gradients->row(s));
    for (int64_t p = 0; p < d.count(); ++p)
      out.along.push_back(plain_dot(g, real.span.of(d.row(p))));
    for (const double c : coefficients(g, real)) out.axes.push_back(c);
    out.squares.push_back(plain_dot(g, g));
  }
  return out;
}

// Signs of the pairs, the same for every module; never all equal.
std::vector<double> drawn_signs(const NullInput& input, int64_t draw) {
  const auto stream = stream_of(NullKind::shuffled, input, "pairs", draw);
  const int64_t pairs = input.material->count();
  std::vector<double> signs(static_cast<size_t>(pairs));
  for (uint64_t attempt = 0;; ++attempt) {
    int64_t flipped = 0;
    for (size_t p = 0; p < signs.size(); ++p) {
      const bool flip = (stream.bits(attempt * signs.size() + p) & 1) != 0;
      signs[p] = flip ? -1 : 1;
      flipped += flip ? 1 : 0;
    }
    if (flipped != 0 && flipped != pairs) return signs;
  }
}

StepParts shuffled_draw(const ShuffledModule& m, const std::vector<double>& signs) {
  std::vector<double> orientation;
  const auto pairs = static_cast<size_t>(m.pairs), k = static_cast<size_t>(m.k);
  for (size_t i = 0; i < k; ++i) {
    int64_t positive = 0;
    for (size_t p = 0; p < pairs; ++p) positive += signs[p] * m.votes[p * k + i] > 0 ? 1 : 0;
    orientation.push_back(2 * positive < m.pairs ? -1 : 1);
  }
  double contrast = 0;
  for (size_t p = 0; p < pairs; ++p)
    for (size_t q = 0; q < pairs; ++q) contrast += signs[p] * signs[q] * m.gram[p * pairs + q];
  const auto count = static_cast<double>(m.pairs);
  StepParts out;
  for (size_t s = 0; s < m.squares.size(); ++s) {
    AlignmentParts part{m.squares[s], 0, 0, std::max(0.0, contrast) / (count * count)};
    for (size_t i = 0; i < k; ++i) {
      const double c = orientation[i] * m.axes[s * k + i];
      part.pulled += c > 0 ? c * c : 0;
    }
    for (size_t p = 0; p < pairs; ++p) part.along += signs[p] * m.along[s * pairs + p] / count;
    out.push_back(part);
  }
  return out;
}

}  // namespace

double expected_cosine(int64_t r, int64_t k) {
  if (k == 0) return 0;
  const auto rr = static_cast<double>(r), kk = static_cast<double>(k);
  return std::exp(std::lgamma((kk + 1) / 2) + std::lgamma(rr / 2) - std::lgamma(kk / 2) -
                  std::lgamma((rr + 1) / 2));
}

double expected_one_sided(int64_t r, int64_t k) {
  double sum = 0, choose = std::pow(0.5, static_cast<double>(k));  // C(k, 0) 2^-k
  for (int64_t m = 1; m <= k; ++m) {
    choose *= static_cast<double>(k - m + 1) / static_cast<double>(m);
    sum += choose * expected_cosine(r, m);
  }
  return sum;
}

double expected_fired(int64_t k) {
  return 1 - std::pow(0.5, static_cast<double>(k));
}

double isotropic_cos_in(const Directions& directions) {
  double sum = 0;
  for (const auto& module : directions.modules)
    sum += expected_one_sided(module.span.size, module.k);
  return sum / static_cast<double>(directions.modules.size());
}

const char* null_name(NullKind kind) {
  switch (kind) {
    case NullKind::random:
      return "random";
    case NullKind::shuffled:
      return "shuffled";
    case NullKind::anisotropic:
      return "anisotropic";
  }
  return "";
}

NullDraws draw_null(NullKind kind, const NullInput& input) {
  const auto& modules = input.directions->modules;
  const auto draws = static_cast<size_t>(input.draws);
  const auto steps = static_cast<size_t>(input.gradients->count());
  base::check(kind == NullKind::random || (input.material && input.material->count() > 1),
              "a null that is drawn from gradients has two of them");
  std::vector<std::vector<double>> signs;
  for (size_t t = 0; kind == NullKind::shuffled && t < draws; ++t)
    signs.push_back(drawn_signs(input, static_cast<int64_t>(t)));
  std::vector<std::vector<StepParts>> parts(modules.size(), std::vector<StepParts>(draws));
  at::parallel_for(0, std::ssize(modules), 1, [&](int64_t begin, int64_t end) {
    for (auto m = static_cast<size_t>(begin); m < static_cast<size_t>(end); ++m) {
      ShuffledModule shuffled;
      if (kind == NullKind::shuffled) shuffled = shuffled_module(modules[m], input);
      for (size_t t = 0; t < draws; ++t) {
        const auto draw = static_cast<int64_t>(t);
        parts[m][t] = kind == NullKind::shuffled ? shuffled_draw(shuffled, signs[t])
                      : kind == NullKind::random ? random_draw(modules[m], input, draw)
                                                 : anisotropic_draw(modules[m], input, draw);
      }
    }
  });
  NullDraws out(draws);
  std::vector<AlignmentParts> of_step(modules.size());
  for (size_t t = 0; t < draws; ++t) {
    for (size_t s = 0; s < steps; ++s) {
      for (size_t m = 0; m < modules.size(); ++m) of_step[m] = parts[m][t][s];
      out[t].push_back(combine(of_step));
    }
  }
  return out;
}

namespace {

// Mean and deviation (count - 1) of what is a number.
std::pair<double, double> moments(const std::vector<double>& values) {
  double sum = 0, squares = 0, count = 0;
  for (const double x : values) {
    if (std::isnan(x)) continue;
    sum += x, count += 1;
  }
  const double mean = count > 0 ? sum / count : not_a_number;
  for (const double x : values) squares += std::isnan(x) ? 0 : (x - mean) * (x - mean);
  return {mean, count > 1 ? std::sqrt(squares / (count - 1)) : not_a_number};
}

std::vector<double> means_over_steps(const NullDraws& draws, double Alignment::*measure) {
  std::vector<double> out;
  for (const auto& draw : draws) {
    std::vector<double> values;
    for (const auto& step : draw) values.push_back(step.*measure);
    out.push_back(moments(values).first);
  }
  return out;
}

}  // namespace

NullSummary summarise(const NullDraws& draws, double Alignment::*measure) {
  NullSummary out;
  out.draws = std::ssize(draws);
  std::tie(out.mean, out.deviation) = moments(means_over_steps(draws, measure));
  for (size_t s = 0; !draws.empty() && s < draws[0].size(); ++s) {
    std::vector<double> values;
    for (const auto& draw : draws) values.push_back(draw[s].*measure);
    const auto [mean, deviation] = moments(values);
    out.step_mean.push_back(mean);
    out.step_deviation.push_back(deviation);
  }
  return out;
}

NullTest test_against(const NullDraws& draws, double Alignment::*measure, double observed) {
  const auto values = means_over_steps(draws, measure);
  const auto [mean, deviation] = moments(values);
  NullTest out{(observed - mean) / deviation};
  for (const double value : values) out.at_least += value >= observed ? 1 : 0;
  out.p = static_cast<double>(1 + out.at_least) / static_cast<double>(1 + std::ssize(values));
  return out;
}

}  // namespace preimage::grpo
