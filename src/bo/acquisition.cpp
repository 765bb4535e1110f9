#include "preimage/bo/acquisition.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "predictor.hpp"
#include "preimage/base/error.hpp"
#include "preimage/bo/log_ei.hpp"
#include "preimage/bo/sobol.hpp"

namespace preimage::bo {

void AcquisitionOptions::fields(base::Fields& f) {
  f.add("raw_samples", raw_samples,
        {.help = "Sobol points among which the starts are drawn", .min = 1, .max = 1 << 20});
  f.add("num_restarts", restarts, {.help = "starts of the optimiser", .min = 1, .max = 1 << 16});
  f.add("latent_margin", margin,
        {.help = "share of each dimension's range that the box reaches beyond the observations",
         .min = 0,
         .max = 100});
  f.add("boltzmann_eta", eta,
        {.help = "how strongly starts of high acquisition are preferred", .min = 0, .max = 1000});
  f.add("refinements", refinements,
        {.help = "further starts around the best end, whose best takes its place; 0: none",
         .min = 0,
         .max = 1 << 16});
  f.add("xi", xi, {.help = "least improvement", .min = 0, .max = 1});
  f.add("maxiter", optimiser.max_iterations,
        {.help = "iterations of L-BFGS-B from each start", .min = 1, .max = 1e6});
}

optim::Box acquisition_box(const at::Tensor& normalised, double margin) {
  const auto low = std::get<0>(normalised.min(0)), high = std::get<0>(normalised.max(0));
  const auto reach = margin * (high - low);
  return {low - reach, high + reach};
}

std::vector<double> boltzmann_weights(std::span<const double> values, double eta) {
  const auto n = static_cast<double>(values.size());
  double mean = 0, squares = 0;
  for (const double v : values) mean += v / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  const double std = values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0;
  std::vector<double> out(values.size(), 1);
  if (std > 0 && std::isfinite(std)) {
    double highest = 0;
    for (const double v : values) highest = std::max(highest, (v - mean) / std);
    while (std::isinf(std::exp(eta * highest))) eta /= 2;
    for (size_t i = 0; i < out.size(); ++i) out[i] = std::exp(eta * (values[i] - mean) / std);
  }
  const double sum = std::accumulate(out.begin(), out.end(), 0.0);
  for (double& w : out) w /= sum;
  return out;
}

std::vector<int64_t> boltzmann_starts(std::span<const double> values, int64_t count, double eta,
                                      const base::RandomStream& random) {
  const auto n = static_cast<int64_t>(values.size());
  base::check(count > 0 && count <= n, "there are at least as many raw samples as starts");
  auto weights = boltzmann_weights(values, eta);
  std::vector<int64_t> out;
  for (int64_t draw = 0; draw < count; ++draw) {
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    double left = random.uniform(static_cast<uint64_t>(draw)) * total;
    int64_t chosen = -1;
    for (int64_t i = 0; i < n; ++i) {
      if (weights[i] < 0) continue;
      left -= weights[i];
      if (left < 0 || chosen < 0) chosen = i;
      if (left < 0) break;
      if (weights[i] > 0) chosen = i;  // rounding may leave a rest beyond the last
    }
    out.push_back(chosen);
    weights[chosen] = 0;
  }
  const auto highest = std::ranges::max_element(values) - values.begin();
  if (std::ranges::find(out, highest) == out.end()) out.back() = highest;
  return out;
}

namespace {

// Log EI over `best` in standardised units; log std adds the unit of the targets.
struct Acquisition {
  Acquisition(const GpModel& model, double highest, double xi)
      : predictor(model),
        best((highest + xi - model.target.mean) / model.target.std),
        log_unit(std::log(model.target.std)) {}

  double value(const GpRow& row) const {
    return log_ei_above(best, row.mean, std::sqrt(row.variance)).value + log_unit;
  }
  void values(const at::Tensor& points, double* out) const {
    std::vector<GpRow> rows(static_cast<size_t>(points.size(0)));
    predictor.rows(points.const_data_ptr<double>(), points.size(0), rows.data());
    for (size_t i = 0; i < rows.size(); ++i) out[i] = value(rows[i]);
  }
  // The negative of both, which is to be made small, where sign is -1.
  void with_gradient(const at::Tensor& points, double sign, double* values,
                     double* gradient) const {
    const GpRowFunction weights = [&](int64_t i, const GpRow& row) {
      const double std = std::sqrt(row.variance);
      const auto ei = log_ei_above(best, row.mean, std);
      values[i] = sign * (ei.value + log_unit);
      return GpRowWeights{sign * ei.by_mean, sign * ei.by_std / (2 * std)};
    };
    predictor.gradient(points.const_data_ptr<double>(), points.size(0), weights, gradient);
  }

  Predictor predictor;
  double best, log_unit;
};

struct Raw {
  at::Tensor points;           // [n, d] normalised
  std::vector<double> values;  // [n]
};

// Equal values say nothing about where to start: up to four times as many are looked at.
Raw raw_samples(const Acquisition& acquisition, const optim::Box& box,
                const AcquisitionOptions& options, const base::RandomStream& random) {
  const int64_t count = std::max(options.raw_samples, options.restarts);
  Raw out;
  for (int64_t times = 1; times <= 4; ++times) {
    const auto unit = scrambled_sobol_points(times * count, box.lower.size(0), random);
    out.points = (box.lower + unit * (box.upper - box.lower)).contiguous();
    out.values.resize(static_cast<size_t>(times * count));
    acquisition.values(out.points, out.values.data());
    const auto [low, high] = std::ranges::minmax(out.values);
    if (low < high) break;
  }
  return out;
}

// Points between `best` [d] and uniform ones of the box, ever farther from it, the last half way.
at::Tensor points_around(const at::Tensor& best, const optim::Box& box, int64_t count,
                         const base::RandomStream& random) {
  const int64_t d = best.size(0);
  auto out = at::empty({count, d}, at::kDouble);
  double* to = out.data_ptr<double>();
  for (int64_t i = 0; i < count * d; ++i) to[i] = random.uniform(static_cast<uint64_t>(i));
  const auto shares = at::arange(1, count + 1, at::kDouble) / (2 * static_cast<double>(count));
  out = box.lower + out * (box.upper - box.lower);
  return best + shares.unsqueeze(1) * (out - best);
}

}  // namespace

AcquisitionValues log_ei_at(const GpModel& model, const at::Tensor& normalised, double best,
                            bool gradients) {
  const auto points = normalised.to(at::kDouble).contiguous();
  base::check(points.dim() == 2 && points.size(1) == model.shape.inputs,
              "an acquisition is asked for rows as wide as the model's inputs");
  const Acquisition acquisition(model, best, 0);
  AcquisitionValues out{at::empty({points.size(0)}, at::kDouble), {}};
  double* values = out.values.data_ptr<double>();
  if (!gradients) {
    acquisition.values(points, values);
    return out;
  }
  out.gradients = at::empty_like(points);
  acquisition.with_gradient(points, 1, values, out.gradients.data_ptr<double>());
  return out;
}

AcquisitionResult maximise_log_ei(const GpModel& model, double best,
                                  const AcquisitionOptions& options,
                                  const base::RandomStream& random) {
  const Acquisition acquisition(model, best, options.xi);
  const auto box = acquisition_box(model.inputs, options.margin);
  // Streams of their own: the caller's may have drawn the process's first parameters.
  const uint64_t element = uint64_t{1} << 44;
  const uint64_t seed = uint64_t{random.bits(element)} << 32 | random.bits(element + 1);
  const auto raw = raw_samples(acquisition, box, options, {seed, "acquisition", "sobol"});
  const base::RandomStream choice(seed, "acquisition", "starts");
  const auto chosen = boltzmann_starts(raw.values, options.restarts, options.eta, choice);
  AcquisitionResult out;
  out.best_raw = *std::ranges::max_element(raw.values);
  out.starts = raw.points.index_select(0, at::tensor(chosen, at::kLong));
  for (const int64_t i : chosen) out.start_values.push_back(raw.values[i]);

  const optim::BoxObjective objective = [&](const optim::BoxBatch& batch) {
    acquisition.with_gradient(batch.x, -1, batch.values.data_ptr<double>(),
                              batch.gradients.data_ptr<double>());
  };
  out.evaluations = std::ssize(raw.values);
  const auto minimise = [&](const at::Tensor& starts) {
    auto found = optim::minimise_in_box(objective, starts, box, options.optimiser);
    out.rounds += found.rounds;
    for (const int64_t count : found.evaluations) out.evaluations += count;
    return found;
  };
  const auto found = minimise(out.starts);
  out.finals = found.x;
  const double* values = found.values.const_data_ptr<double>();
  for (int64_t i = 0; i < options.restarts; ++i) out.final_values.push_back(-values[i]);
  out.best_start = std::ranges::max_element(out.final_values) - out.final_values.begin();
  out.best = out.finals[out.best_start].clone();
  out.value = out.final_values[out.best_start];
  out.active_bounds = found.active_bounds[out.best_start];
  if (options.refinements > 0) {
    const base::RandomStream around(seed, "acquisition", "refinement");
    const auto again = minimise(points_around(out.best, box, options.refinements, around));
    const double* ends = again.values.const_data_ptr<double>();
    const auto least = std::min_element(ends, ends + options.refinements) - ends;
    if (-ends[least] > out.value) {
      out.value = out.final_values[out.best_start] = -ends[least];
      out.best = again.x[least].clone();
      out.finals[out.best_start].copy_(out.best);
      out.active_bounds = again.active_bounds[least];
    }
  }
  out.nearest = (model.inputs - out.best).norm(2, 1).min().item<double>();
  return out;
}

}  // namespace preimage::bo
