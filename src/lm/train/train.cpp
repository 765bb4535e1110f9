#include "preimage/lm/train/train.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/tensor_reduce.hpp"
#include "preimage/lm/adapter/live_adapter.hpp"
#include "preimage/nn/layers.hpp"

namespace preimage::lm {
namespace {

std::shared_ptr<const Model> model_of(const Leaves& leaves, const TrainRequest& request) {
  if (request.adapter)
    return with_adapter(request.adapter->base, request.adapter->adapter, &leaves);
  return build_model(request.config, [&](const std::string& name, at::IntArrayRef) {
    return leaves.by_name.at(name);
  });
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

class Training {
 public:
  Training(Parameters& parameters, const TrainRequest& request, const TrainPlace& place)
      : request_(request),
        options_(request.options),
        tensors_(request.adapter ? request.adapter->adapter.tensors
                                 : expected_tensors(request.config)),
        adam_{at::zeros_like(parameters.flat), at::zeros_like(parameters.flat), 0},
        trained_{parameters, adam_, place.world} {
    options_.schedule.steps = options_.steps;
  }

  LoopResult run(const TrainPlace& place);

 private:
  Leaves leaves() const;
  StepReport step(int64_t step);
  double validate() const;
  std::string identity();

  const TrainRequest& request_;
  TrainOptions options_;
  TensorList tensors_;
  optim::AdamWState adam_;
  Trained trained_;
};

Leaves Training::leaves() const {
  const bool narrow = options_.dtype == "bfloat16" && !request_.adapter;
  return make_leaves(trained_.parameters, tensors_, narrow ? at::kBFloat16 : at::kFloat);
}

StepReport Training::step(int64_t step) {
  const auto now = leaves();
  const auto model = model_of(now, request_);
  const auto shards = step_shards(request_.text, options_, step);
  double counted = 0;
  for (const auto& shard : shards) counted += shard.counted;
  counted = std::max(counted, 1.0);
  const double rate = optim::learning_rate(options_.schedule, step);
  const auto result = data_parallel_step(
      trained_, now,
      {.micro_shards = options_.micro_shards, .learning_rate = rate, .adam = options_.adam},
      [&](int64_t s) -> ShardLoss {
        return {shard_loss(*model, shards[static_cast<size_t>(s)], 1 / counted), {}};
      });
  return {.loss = result.loss,
          .gradient_norm = result.gradient_norm,
          .learning_rate = rate,
          .items = static_cast<double>(options_.micro_shards * options_.shard_tokens)};
}

double Training::validate() const {
  const auto now = leaves();
  return evaluate(*model_of(now, request_), request_.validation,
                  {options_.evaluate_shards, options_.shard_tokens}, trained_.world);
}

std::string Training::identity() {
  const auto fields = base::fields_of(options_);
  return base::canonical(
      {{"options", base::identity_json(fields)},
       {"seed", options_.seed},
       {"parameters", trained_.parameters.flat.numel()},
       {"tokens", {request_.text.tokens_per_epoch(), request_.validation.tokens_per_epoch()}}});
}

LoopResult Training::run(const TrainPlace& place) {
  return run_loop(trained_,
                  {.step = [this](int64_t number) { return step(number); },
                   .validate = [this] { return validate(); },
                   .report = place.report},
                  {.identity = identity(),
                   .steps = options_.steps,
                   .evaluate_every = options_.evaluate_every,
                   .checkpoint_interval_s = options_.checkpoint_interval_s,
                   .remedy = "lower train.schedule.lr or raise train.schedule.warmup_steps"},
                  {place.state, place.budget});
}

}  // namespace

void TrainOptions::fields(base::Fields& f) {
  f.add("steps", steps, {.help = "optimiser steps", .min = 1, .max = 1e9});
  f.add("micro_shards", micro_shards,
        {.help = "gradient shards of a step, summed in a fixed tree", .min = 1, .max = 4096});
  f.add("shard_tokens", shard_tokens,
        {.help = "predicted tokens of a micro-shard", .unit = "tokens", .min = 1, .max = 1e8});
  f.add("context", context, {.help = "longest sequence", .unit = "tokens", .min = 1, .max = 1e6});
  auto shape = schedule.shape();
  f.group("schedule", shape);
  f.group("adam", adam);
  f.add("weight_decay", adam.weight_decay,
        {.help = "decoupled decay of matrices", .min = 0, .max = 10});
  f.add("dtype", dtype, {.help = "precision of the products", .choices = {"float32", "bfloat16"}});
  f.add("evaluate_every", evaluate_every,
        {.help = "validation interval; 0: at the end", .unit = "steps", .min = 0});
  f.add("evaluate_shards", evaluate_shards,
        {.help = "micro-shards of validation text", .min = 1, .max = 1e6});
  add_checkpoint_interval(f, checkpoint_interval_s);
}

base::ConfigErrors TrainOptions::check(const std::string& prefix) const {
  auto whole = schedule;
  whole.steps = steps;
  return whole.check(prefix + "schedule.");
}

double evaluate(const Model& model, const TrainStream& text, const EvaluateOptions& options,
                const cluster::Communicator& world) {
  const at::NoGradGuard no_grad;
  // [sum of nats, counted tokens] of each shard, summed along the tree like gradients.
  cluster::TreeSum sum(world, options.shards);
  for (int64_t s = sum.owned().begin; s < sum.owned().end; ++s) {
    const auto shard = text.shard(s, options.shard_tokens);
    const double nats = shard_loss(model, shard, 1).item<float>();
    sum.add(s, at::tensor({nats, shard.counted}, at::kFloat));
  }
  const auto total = sum.finish(at::empty({2}, at::kFloat));
  return total[0].item<float>() / std::max(1.0f, total[1].item<float>());
}

LoopResult train(Parameters& parameters, const TrainRequest& request, const TrainPlace& place) {
  return Training(parameters, request, place).run(place);
}

}  // namespace preimage::lm
