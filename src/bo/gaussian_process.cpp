#include "preimage/bo/gaussian_process.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "objective.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::bo {

void GpOptions::fields(base::Fields& f) {
  f.add(
      "adapter", adapter,
      {.help = "a network between the inputs and the kernel; false: a lengthscale for each input"});
  f.add("hidden", hidden, {.help = "hidden units of the adapter", .min = 1, .max = 4096});
  f.add("gp_latent_dim", features, {.help = "outputs of the adapter", .min = 1, .max = 1024});
  f.add("noise", noise,
        {.help = "one learned variance, or that of each observation, p (1 - p) / n",
         .choices = {"learned", "heteroscedastic"}});
  f.add("gp_lr", lr, {.help = "learning rate of AdamW", .min = 0, .max = 10});
  f.add("gp_weight_decay", weight_decay,
        {.help = "weight decay of AdamW, on all parameters", .min = 0, .max = 1});
  f.add("gp_epochs", epochs, {.help = "most epochs of a fit", .min = 1, .max = 1e9});
  f.add("gp_patience", patience,
        {.help = "epochs without a lower loss after which a fit ends", .min = 1, .max = 1e9});
}

at::Tensor InputScale::normalise(const at::Tensor& x) const {
  return (x.to(at::kDouble) - min) / range;
}

at::Tensor InputScale::denormalise(const at::Tensor& xn) const {
  return xn * range + min;
}

InputScale input_scale(const at::Tensor& inputs) {
  base::check(inputs.dim() == 2 && inputs.size(0) > 0, "a scale is taken of inputs [N, d]");
  const auto x = inputs.to(at::kDouble);
  InputScale out;
  out.min = std::get<0>(x.min(0));
  out.range = std::get<0>(x.max(0)) - out.min;
  out.range = at::where(out.range > 0, out.range, at::ones_like(out.range));
  return out;
}

TargetScale target_scale(std::span<const double> targets) {
  base::check(!targets.empty(), "a scale is taken of at least one target");
  TargetScale out;
  for (const double y : targets) out.mean += y / static_cast<double>(targets.size());
  if (targets.size() < 2) return out;
  double squares = 0;
  for (const double y : targets) squares += (y - out.mean) * (y - out.mean);
  out.std = std::sqrt(squares / static_cast<double>(targets.size() - 1));
  if (out.std < 1e-8) out.std = 1;
  return out;
}

GpShape gp_shape(int64_t inputs, const GpOptions& options) {
  base::check(options.noise == "learned" || options.noise == "heteroscedastic",
              "noise is learned or heteroscedastic");
  return {.inputs = inputs,
          .hidden = options.adapter ? options.hidden : 0,
          .features = options.adapter ? options.features : inputs,
          .learned_noise = options.noise == "learned"};
}

int64_t GpShape::size() const {
  const int64_t adapter = hidden * inputs + 3 * hidden + features * hidden + features;
  return (hidden > 0 ? adapter : 0) + features + 1 + (learned_noise ? 1 : 0);
}

std::vector<GpParameter> gp_parameters(const GpShape& shape) {
  const auto at = gp_layout(shape);
  std::vector<GpParameter> out;
  if (shape.hidden > 0) {
    out = {{"adapter.0.weight", at.weight1, {shape.hidden, shape.inputs}},
           {"adapter.0.bias", at.bias1, {shape.hidden}},
           {"adapter.2.weight", at.scale, {shape.hidden}},
           {"adapter.2.bias", at.shift, {shape.hidden}},
           {"adapter.3.weight", at.weight2, {shape.features, shape.hidden}},
           {"adapter.3.bias", at.bias2, {shape.features}}};
  }
  out.push_back({"covar_module.base_kernel.raw_lengthscale", at.lengthscale, {shape.features}});
  out.push_back({"covar_module.raw_outputscale", at.outputscale, {}});
  if (shape.learned_noise) out.push_back({"likelihood.noise_covar.raw_noise", at.noise, {1}});
  return out;
}

at::Tensor initial_parameters(const GpShape& shape, const base::RandomStream& random) {
  auto out = at::zeros({shape.size()}, at::kDouble);
  if (shape.hidden == 0) return out;
  double* to = out.data_ptr<double>();
  const auto at = gp_layout(shape);
  const auto fill = [&](int64_t begin, int64_t size, int64_t fan_in) {
    const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
    for (int64_t i = begin; i < begin + size; ++i)
      to[i] = bound * (2 * random.uniform(static_cast<uint64_t>(i)) - 1);
  };
  fill(at.weight1, shape.hidden * shape.inputs, shape.inputs);
  fill(at.bias1, shape.hidden, shape.inputs);
  std::fill_n(to + at.scale, shape.hidden, 1.0);
  fill(at.weight2, shape.features * shape.hidden, shape.hidden);
  fill(at.bias2, shape.features, shape.hidden);
  return out;
}

GpObjective gp_objective(const GpProblem& problem, const at::Tensor& parameters) {
  base::check(parameters.numel() == problem.shape.size(),
              "a parameter vector has its shape's size");
  const auto flat = parameters.contiguous();
  Objective objective(problem);
  auto gradient = at::zeros({flat.numel()}, at::kDouble);
  auto out = objective.evaluate(flat.const_data_ptr<double>(), gradient.data_ptr<double>());
  out.gradient = gradient;
  return out;
}

namespace {

// The model's data in the units of its scales, as a problem.
GpProblem standardised(const GpModel& model) {
  GpProblem out{.shape = model.shape, .inputs = model.inputs};
  for (const double y : model.data.targets)
    out.targets.push_back((y - model.target.mean) / model.target.std);
  for (const double variance : model.data.noise)
    out.noise.push_back(variance / (model.target.std * model.target.std));
  return out;
}

void check_data(const GpData& data, const GpOptions& options) {
  const auto count = static_cast<int64_t>(data.targets.size());
  base::check(count > 0 && data.inputs.dim() == 2 && data.inputs.size(0) == count,
              "a Gaussian process is given inputs [N, d] for its N targets");
  base::check(
      options.noise == "learned" ? data.noise.empty() : data.noise.size() == data.targets.size(),
      "a heteroscedastic fit is given each observation's noise, another none");
}

GpModel prepare(const GpData& data, const GpOptions& options, const InputScale& input) {
  check_data(data, options);
  GpModel out;
  out.options = options;
  out.shape = gp_shape(data.inputs.size(1), options);
  out.input = input;
  out.target = target_scale(data.targets);
  out.data = data;
  out.data.inputs = data.inputs.to(at::kDouble).contiguous();
  out.inputs = input.normalise(out.data.inputs).contiguous();
  return out;
}

void set_parameters(GpModel& model, Objective& objective, const at::Tensor& parameters) {
  model.parameters = parameters.to(at::kDouble).contiguous().clone();
  const auto value = objective.evaluate(model.parameters.const_data_ptr<double>(), nullptr);
  model.jitter = value.jitter;
  model.loss = -value.value;
  model.features = objective.scaled_features();
  model.inverse_factor = objective.inverse_factor();
  model.alpha = objective.alpha();
}

void train(GpModel& model, const at::Tensor& start) {
  const auto& kernels = cpu_kernels();
  Objective objective(standardised(model));
  const int64_t size = model.shape.size(), room = padded(size, 8);
  // Rows: value, both moments, gradient, best value.
  const Matrix rows(5, room);
  std::copy_n(start.contiguous().const_data_ptr<double>(), size, rows.row(0));
  AdamW adam{.lr = model.options.lr, .weight_decay = model.options.weight_decay};
  double best = std::numeric_limits<double>::infinity();
  int64_t stale = 0;
  for (model.epochs = 0; model.epochs < model.options.epochs; ++model.epochs) {
    const double loss = -objective.evaluate(rows.row(0), rows.row(3)).value;
    if (loss < best) {
      best = loss, stale = 0;
      std::copy_n(rows.row(0), size, rows.row(4));
    } else if (++stale >= model.options.patience) {
      ++model.epochs;
      break;
    }
    for (int64_t i = 0; i < size; ++i) rows.row(3)[i] = -rows.row(3)[i];
    adam.step = model.epochs + 1;
    kernels.adamw(adam, {rows.row(0), rows.row(1), rows.row(2), rows.row(3)}, room);
  }
  if (!std::isfinite(best))
    throw base::data_error(base::str("Gaussian process of ", model.data.targets.size(),
                                     " observations: the loss is not finite at the start; expected "
                                     "finite inputs, targets and noise"));
  auto parameters = at::empty({size}, at::kDouble);
  std::copy_n(rows.row(4), size, parameters.data_ptr<double>());
  set_parameters(model, objective, parameters);
}

}  // namespace

GpModel fit_gp(const GpData& data, const GpOptions& options, const base::RandomStream& random) {
  check_data(data, options);
  auto out = prepare(data, options, input_scale(data.inputs));
  train(out, initial_parameters(out.shape, random));
  return out;
}

std::vector<GpModel> fit_gps(std::span<const GpFit> fits) {
  std::vector<GpModel> out(fits.size());
  at::parallel_for(0, static_cast<int64_t>(fits.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out[i] = fit_gp(fits[i].data, fits[i].options, fits[i].random);
  });
  return out;
}

GpModel update_gp(const GpModel& model, const GpData& data, const GpOptions& options) {
  auto out = prepare(data, options, model.input);
  base::check(out.shape.size() == model.shape.size(), "an update keeps the shape of its model");
  train(out, model.parameters);
  return out;
}

GpModel gp_at(const GpData& data, const GpOptions& options, const at::Tensor& parameters) {
  check_data(data, options);
  auto out = prepare(data, options, input_scale(data.inputs));
  base::check(parameters.numel() == out.shape.size(), "a parameter vector has its shape's size");
  Objective objective(standardised(out));
  set_parameters(out, objective, parameters);
  return out;
}

}  // namespace preimage::bo
