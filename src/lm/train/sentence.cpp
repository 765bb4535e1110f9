#include "preimage/lm/train/sentence.hpp"

#include <map>
#include <numeric>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/json.hpp"
#include "preimage/base/random.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/tensor_reduce.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lm {
namespace {

using Split = SentenceTask::Split;

// One thread for as long as it lives, on the CPU.
class OneThread {
 public:
  explicit OneThread(at::Device device) : before_(at::get_num_threads()), on_(device.is_cpu()) {
    if (on_) at::set_num_threads(1);
  }
  ~OneThread() {
    if (on_) at::set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;

 private:
  int before_;
  bool on_;
};

class Training {
 public:
  Training(Parameters& parameters, const SentenceTask& task, const SentenceTrainOptions& options,
           const SentencePlace& place)
      : task_(task),
        options_(options),
        adam_{at::zeros_like(parameters.flat), at::zeros_like(parameters.flat), 0},
        trained_{parameters, adam_, place.world} {
    options_.schedule.steps = options_.steps;
  }

  LoopResult run(const SentencePlace& place);

 private:
  // The examples of micro-shard `index` of the endless sequence of epochs, each a permutation.
  std::vector<int64_t> shard(int64_t index);
  double weight_of(Split split, const std::vector<int64_t>& examples) const;
  StepReport step(int64_t number);
  double validate() const;
  std::string identity() const;

  const SentenceTask& task_;
  SentenceTrainOptions options_;
  optim::AdamWState adam_;
  Trained trained_;
  std::map<int64_t, std::vector<int64_t>> orders_;  // by epoch; the last few
};

std::vector<int64_t> Training::shard(int64_t index) {
  const int64_t count = task_.examples(Split::training);
  std::vector<int64_t> out;
  for (int64_t i = 0; i < options_.shard_texts; ++i) {
    const int64_t place = index * options_.shard_texts + i;
    const int64_t epoch = place / count;
    if (!orders_.contains(epoch)) {
      std::erase_if(orders_, [&](const auto& entry) { return entry.first < epoch - 1; });
      orders_[epoch] = base::RandomStream(options_.seed, std::to_string(epoch), "order of texts")
                           .permutation(count);
    }
    out.push_back(orders_[epoch][static_cast<size_t>(place % count)]);
  }
  return out;
}

double Training::weight_of(Split split, const std::vector<int64_t>& examples) const {
  double sum = 0;
  for (const int64_t example : examples) sum += task_.weight(split, example);
  return sum;
}

StepReport Training::step(int64_t number) {
  const auto leaves = make_leaves(trained_.parameters, task_.tensors(), at::kFloat);
  std::vector<std::vector<int64_t>> shards;
  double weight = 0;
  for (int64_t s = 0; s < options_.micro_shards; ++s) {
    shards.push_back(shard(number * options_.micro_shards + s));
    weight += weight_of(Split::training, shards.back());
  }
  const double rate = optim::learning_rate(options_.schedule, number);
  const auto result = data_parallel_step(
      trained_, leaves,
      {.micro_shards = options_.micro_shards, .learning_rate = rate, .adam = options_.adam},
      [&](int64_t s) -> ShardLoss {
        return {task_.loss(leaves, Split::training, shards[static_cast<size_t>(s)]) / weight, {}};
      });
  return {.loss = result.loss,
          .gradient_norm = result.gradient_norm,
          .learning_rate = rate,
          .items = static_cast<double>(options_.micro_shards * options_.shard_texts)};
}

double Training::validate() const {
  const at::NoGradGuard no_grad;
  const auto leaves = make_leaves(trained_.parameters, task_.tensors(), at::kFloat);
  const int64_t count = task_.examples(Split::validation);
  const int64_t shards = (count + options_.shard_texts - 1) / options_.shard_texts;
  cluster::TreeSum sum(trained_.world, shards);
  for (int64_t s = sum.owned().begin; s < sum.owned().end; ++s) {
    const int64_t begin = s * options_.shard_texts;
    std::vector<int64_t> examples(
        static_cast<size_t>(std::min(options_.shard_texts, count - begin)));
    std::iota(examples.begin(), examples.end(), begin);
    const auto loss = task_.loss(leaves, Split::validation, examples).item<float>();
    sum.add(s, at::tensor({loss, static_cast<float>(weight_of(Split::validation, examples))}));
  }
  const auto total = sum.finish(at::empty({2}, at::kFloat));
  return total[0].item<float>() / total[1].item<float>();
}

std::string Training::identity() const {
  auto options = options_;
  return base::canonical(
      {{"options", base::identity_json(base::fields_of(options))},
       {"seed", options_.seed},
       {"parameters", trained_.parameters.flat.numel()},
       {"examples", {task_.examples(Split::training), task_.examples(Split::validation)}}});
}

LoopResult Training::run(const SentencePlace& place) {
  return run_loop(trained_,
                  {.step = [this](int64_t number) { return step(number); },
                   .validate = [this] { return validate(); },
                   .report = place.report},
                  {.identity = identity(),
                   .steps = options_.steps,
                   .evaluate_every = options_.evaluate_every,
                   .checkpoint_interval_s = options_.checkpoint_interval_s,
                   .remedy = "lower schedule.lr or raise schedule.warmup_steps"},
                  {place.state, place.budget});
}

}  // namespace

void SentenceTrainOptions::fields(base::Fields& f) {
  f.add("steps", steps, {.help = "optimiser steps", .min = 1, .max = 1e9});
  f.add("micro_shards", micro_shards,
        {.help = "gradient shards of a step, summed in a fixed tree", .min = 1, .max = 4096});
  f.add("shard_texts", shard_texts,
        {.help = "examples of a micro-shard; pairs of one are each other's negatives",
         .min = 2,
         .max = 1e6});
  f.add("temperature", temperature,
        {.help = "of the cosines that pairs are told apart by", .min = 1e-3, .max = 10});
  auto shape = schedule.shape();
  f.group("schedule", shape);
  f.group("adam", adam);
  f.add("weight_decay", adam.weight_decay,
        {.help = "decoupled decay of matrices", .min = 0, .max = 10});
  f.add("evaluate_every", evaluate_every,
        {.help = "validation interval; 0: at the end", .unit = "steps", .min = 0});
  add_checkpoint_interval(f, checkpoint_interval_s);
}

base::ConfigErrors SentenceTrainOptions::check(const std::string& prefix) const {
  auto whole = schedule;
  whole.steps = steps;
  return whole.check(prefix + "schedule.");
}

LoopResult train_sentences(Parameters& parameters, const SentenceTask& task,
                           const SentenceTrainOptions& options, const SentencePlace& place) {
  const OneThread one_thread(place.device);
  parameters = to_device(std::move(parameters), task.tensors(), place.device);
  return Training(parameters, task, options, place).run(place);
}

void save_parameters(const Parameters& parameters, const TensorList& list, at::ScalarType dtype,
                     const std::filesystem::path& folder) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [name, shape] : list) {
    tensors.emplace_back(name, parameters.views.at(name).detach().to(at::kCPU, dtype).contiguous());
  }
  write_safetensors(folder / "model.safetensors", tensors);
}

}  // namespace preimage::lm
