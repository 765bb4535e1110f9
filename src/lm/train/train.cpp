#include "preimage/lm/train/train.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/tensor_reduce.hpp"
#include "preimage/lm/train/train_state.hpp"
#include "preimage/nn/layers.hpp"

namespace preimage::lm {
namespace {

std::shared_ptr<const Model> model_of(const Leaves& leaves, const ModelConfig& config) {
  return build_model(
      config, [&](const std::string& name, at::IntArrayRef) { return leaves.by_name.at(name); });
}

// Scalar: sum of weighted nats, scaled; differentiable when the model is.
at::Tensor shard_loss(const Model& model, const TrainStream::Shard& shard, double scale) {
  const auto device = model.device();
  const auto packing = nn::make_packing(shard.lengths, device);
  const auto inputs = at::tensor(shard.inputs, at::kLong).to(device);
  const auto targets = at::tensor(shard.targets, at::kLong).to(device);
  const auto weights = (at::tensor(shard.weights, at::kFloat) * scale).to(device);
  const auto hidden = model.hidden(model.embed(inputs), nn::PackedAttention(packing));
  return nn::linear_cross_entropy(hidden, model.head(), targets, weights).loss;
}

// All micro-shards of a step: each rank needs their count of tokens, and its own shards whole.
std::vector<TrainStream::Shard> step_shards(const TrainStream& text, const TrainOptions& options,
                                            int64_t step) {
  std::vector<TrainStream::Shard> shards;
  for (int64_t s = 0; s < options.micro_shards; ++s) {
    shards.push_back(text.shard(step * options.micro_shards + s, options.shard_tokens));
  }
  return shards;
}

at::ScalarType products_dtype(const TrainOptions& options) {
  return options.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

TrainPoint train_step(Parameters& parameters, optim::AdamWState& adam, const ModelConfig& config,
                      const TrainStream& text, const TrainOptions& options,
                      const TrainContext& context, int64_t step) {
  const auto leaves = make_leaves(parameters, expected_tensors(config), products_dtype(options));
  const auto model = model_of(leaves, config);
  const auto shards = step_shards(text, options, step);
  double counted = 0;
  for (const auto& shard : shards) counted += shard.counted;
  counted = std::max(counted, 1.0);
  TrainPoint point;
  point.step = step;
  point.learning_rate = optim::learning_rate(options.schedule, step);
  const auto result = data_parallel_step(
      {parameters, adam, context.world}, leaves,
      {.micro_shards = options.micro_shards,
       .learning_rate = point.learning_rate,
       .adam = options.adam},
      [&](int64_t s) -> ShardLoss {
        return {shard_loss(*model, shards[static_cast<size_t>(s)], 1 / counted), {}};
      });
  point.loss = result.loss;
  point.gradient_norm = result.gradient_norm;
  return point;
}

// One row of the stored curve.
constexpr int64_t kCurveColumns = 6;

at::Tensor curve_tensor(const std::vector<TrainPoint>& curve) {
  auto out = at::empty({static_cast<int64_t>(curve.size()), kCurveColumns}, at::kDouble);
  double* row = out.data_ptr<double>();
  for (const auto& p : curve) {
    for (const double value : {static_cast<double>(p.step), p.loss, p.gradient_norm,
                               p.learning_rate, p.validation_loss, p.tokens_per_s}) {
      *row++ = value;
    }
  }
  return out;
}

std::vector<TrainPoint> curve_points(const at::Tensor& tensor) {
  std::vector<TrainPoint> out;
  const double* row = tensor.const_data_ptr<double>();
  for (int64_t i = 0; i < tensor.size(0); ++i, row += kCurveColumns) {
    out.push_back({static_cast<int64_t>(row[0]), row[1], row[2], row[3], row[4], row[5]});
  }
  return out;
}

void require_finite(const TrainPoint& point) {
  if (std::isfinite(point.loss) && std::isfinite(point.gradient_norm)) return;
  throw base::Error(
      base::ExitCode::bad_config,
      base::str("training diverged at step ", point.step, ": loss ", point.loss, ", gradient norm ",
                point.gradient_norm, "; lower schedule.lr or raise schedule.warmup_steps"));
}

}  // namespace

void TrainOptions::fields(base::Fields& f) {
  f.add("steps", steps, {.help = "optimiser steps", .min = 1, .max = 1e9});
  f.add("micro_shards", micro_shards,
        {.help = "gradient shards of a step, summed in a fixed tree", .min = 1, .max = 4096});
  f.add("shard_tokens", shard_tokens,
        {.help = "predicted tokens of a micro-shard", .unit = "tokens", .min = 1, .max = 1e8});
  f.add("context", context, {.help = "longest sequence", .unit = "tokens", .min = 1, .max = 1e6});
  f.group("schedule", schedule);
  f.group("adam", adam);
  f.add("weight_decay", adam.weight_decay,
        {.help = "decoupled decay of matrices", .min = 0, .max = 10});
  f.add("dtype", dtype, {.help = "precision of the products", .choices = {"float32", "bfloat16"}});
  f.add("evaluate_every", evaluate_every,
        {.help = "validation interval; 0: at the end", .unit = "steps", .min = 0});
  f.add("evaluate_shards", evaluate_shards,
        {.help = "micro-shards of validation text", .min = 1, .max = 1e6});
  f.add("checkpoint_every", checkpoint_every,
        {.help = "interval of the resumable state; 0: at the end",
         .unit = "steps",
         .min = 0,
         .role = base::FieldRole::placement});
}

double evaluate(const Model& model, const TrainStream& text, int64_t shards, int64_t shard_tokens,
                const cluster::Communicator& world) {
  const at::NoGradGuard no_grad;
  // [sum of nats, counted tokens] of each shard, summed along the tree like gradients.
  cluster::TreeSum sum(world, shards);
  for (int64_t s = sum.owned().begin; s < sum.owned().end; ++s) {
    const auto shard = text.shard(s, shard_tokens);
    const double nats = shard_loss(model, shard, 1).item<float>();
    sum.add(s, at::tensor({nats, shard.counted}, at::kFloat));
  }
  const auto total = sum.finish(at::empty({2}, at::kFloat));
  return total[0].item<float>() / std::max(1.0f, total[1].item<float>());
}

TrainResult train(Parameters& parameters, const ModelConfig& config, const TrainStream& text,
                  const TrainStream& validation, const TrainOptions& options,
                  const TrainContext& context) {
  TrainResult result;
  optim::AdamWState adam{at::zeros_like(parameters.flat), at::zeros_like(parameters.flat), 0};
  const TrainStateFile state(context.state_folder.empty()
                                 ? std::filesystem::path()
                                 : context.state_folder / "train_state.safetensors",
                             {{"parameters", parameters.flat},
                              {"first_moment", adam.first},
                              {"second_moment", adam.second}});
  if (const auto curve = state.load(context.world)) result.curve = curve_points(*curve);
  adam.steps = static_cast<int64_t>(result.curve.size());
  const auto validate = [&] {
    const auto leaves = make_leaves(parameters, expected_tensors(config), products_dtype(options));
    return evaluate(*model_of(leaves, config), validation, options.evaluate_shards,
                    options.shard_tokens, context.world);
  };
  for (auto step = static_cast<int64_t>(result.curve.size()); step < options.steps; ++step) {
    // All ranks must leave together: the decision is collective.
    if (context.budget && context.world.any(context.budget->must_stop())) {
      state.save(curve_tensor(result.curve), context.world);
      return result;
    }
    const double begin = base::monotonic_seconds();
    auto point = train_step(parameters, adam, config, text, options, context, step);
    require_finite(point);
    point.tokens_per_s = static_cast<double>(options.micro_shards * options.shard_tokens) /
                         (base::monotonic_seconds() - begin);
    const bool last = step + 1 == options.steps;
    if (last || (options.evaluate_every > 0 && (step + 1) % options.evaluate_every == 0))
      point.validation_loss = validate();
    result.curve.push_back(point);
    if (context.report) context.report(point);
    if (last || (options.checkpoint_every > 0 && (step + 1) % options.checkpoint_every == 0))
      state.save(curve_tensor(result.curve), context.world);
  }
  result.finished = true;
  return result;
}

}  // namespace preimage::lm
