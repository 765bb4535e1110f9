#include "arms/training.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "preimage/base/error.hpp"
#include "preimage/base/json.hpp"
#include "preimage/base/str.hpp"
#include "preimage/optim/schedule.hpp"

namespace preimage::verifier {
namespace {

// The endless sequence of groups, epoch after epoch.
class GroupStream {
 public:
  GroupStream(const PairMiner& miner, int64_t first_epoch)
      : miner_(miner), first_epoch_(first_epoch), per_epoch_(miner.groups_per_epoch()) {}
  const Group& at(int64_t index) {
    const int64_t epoch = index / per_epoch_;
    if (epoch != epoch_) groups_ = miner_.epoch(first_epoch_ + epoch), epoch_ = epoch;
    return groups_[static_cast<size_t>(index % per_epoch_)];
  }
  int64_t per_epoch() const { return per_epoch_; }

 private:
  const PairMiner& miner_;
  int64_t first_epoch_;
  int64_t per_epoch_;
  int64_t epoch_ = -1;
  std::vector<Group> groups_;
};

// Energies [sequences] of the groups' programs, each passing one before its failing ones, as a
// rectangle.
GroupEnergies grouped(const at::Tensor& energies, const std::vector<Group>& groups) {
  size_t most = 0;
  for (const auto& group : groups) most = std::max(most, group.negatives.size());
  std::vector<int64_t> positive, negative;
  std::vector<float> present;
  int64_t at = 0;
  for (const auto& group : groups) {
    positive.push_back(at);
    for (size_t j = 0; j < most; ++j) {
      const bool real = j < group.negatives.size();
      negative.push_back(real ? at + 1 + static_cast<int64_t>(j) : at);
      present.push_back(real ? 1.0f : 0.0f);
    }
    at += 1 + static_cast<int64_t>(group.negatives.size());
  }
  const auto rows = static_cast<int64_t>(groups.size()), columns = static_cast<int64_t>(most);
  const auto pick = [&](const std::vector<int64_t>& index) {
    return energies.index_select(0, at::tensor(index, at::kLong).to(energies.device()));
  };
  return {pick(positive), pick(negative).view({rows, columns}),
          at::tensor(present).view({rows, columns}).to(energies.device())};
}

class Training {
 public:
  Training(const TrainingRequest& request, const TrainingPlace& place)
      : request_(request),
        place_(place),
        options_(request.options),
        list_(request.arm.trained()),
        stream_(*request.data.miner, request.first_epoch),
        groups_(std::max<int64_t>(1, options_.batch_pairs / negatives())),
        parameters_(request.arm.initial(request.seed, place.device)),
        adam_{at::zeros_like(parameters_.flat), at::zeros_like(parameters_.flat), 0} {
    const int64_t all = options_.epochs * stream_.per_epoch();
    steps_ = std::max<int64_t>(1, (all + groups_ - 1) / groups_);
    schedule_ = {.kind = "warmup-cosine",
                 .lr = options_.lr,
                 .steps = steps_,
                 .warmup_steps = std::min(options_.warmup_steps, steps_ / 2),
                 .final_fraction = options_.final_fraction};
  }

  TrainingResult run();

 private:
  int64_t negatives() const;
  std::vector<Group> step_groups(int64_t step);
  lm::ShardLoss shard_loss(const EnergyModel& model, const std::vector<Group>& groups, int64_t step,
                           int64_t shard) const;
  lm::StepReport step(int64_t step);
  double validate() const;
  std::string identity();

  const TrainingRequest& request_;
  const TrainingPlace& place_;
  TrainingOptions options_;
  lm::TensorList list_;
  GroupStream stream_;
  int64_t groups_;  // of a step
  int64_t steps_ = 0;
  optim::ScheduleOptions schedule_;
  lm::Parameters parameters_;
  optim::AdamWState adam_;
};

// Failing candidates of a group, as far as there are any: a pair is one of them.
int64_t Training::negatives() const {
  int64_t most = 1;
  for (const auto& group : request_.data.miner->epoch(0))
    most = std::max(most, static_cast<int64_t>(group.negatives.size()));
  return most;
}

std::vector<Group> Training::step_groups(int64_t step) {
  std::vector<Group> out;
  for (int64_t i = 0; i < groups_; ++i) out.push_back(stream_.at(step * groups_ + i));
  return out;
}

lm::ShardLoss Training::shard_loss(const EnergyModel& model, const std::vector<Group>& groups,
                                   int64_t step, int64_t shard) const {
  const int64_t begin = groups_ * shard / options_.micro_shards;
  const int64_t end = groups_ * (shard + 1) / options_.micro_shards;
  if (begin == end)
    return {at::zeros({}, at::TensorOptions(at::kFloat).device(place_.device)), {0, 0}};
  const std::vector<Group> own(groups.begin() + begin, groups.begin() + end);
  Sequences sequences;
  std::vector<float> weights;
  // Groups of a problem weigh 1 together; over an epoch the factors have mean 1.
  const double scale = static_cast<double>(stream_.per_epoch()) /
                       static_cast<double>(request_.data.miner->problems_with_both() * groups_);
  for (const auto& group : own) {
    const auto& programs = request_.data.train[static_cast<size_t>(group.problem)].programs;
    sequences.add(programs[static_cast<size_t>(group.positive)]);
    for (const int64_t index : group.negatives) sequences.add(programs[static_cast<size_t>(index)]);
    weights.push_back(static_cast<float>(group.weight * scale));
  }
  const DropoutSource dropout{options_.dropout, request_.seed,
                              base::str("step ", step, " shard ", shard)};
  const auto energies = grouped(model.energies(sequences, dropout), own);
  const auto losses = group_losses(energies, request_.loss);
  const auto gap = (energies.negative - energies.positive.unsqueeze(1)).detach();
  const auto right = ((gap > 0).to(at::kFloat) * energies.present).sum().item<float>();
  return {(losses * at::tensor(weights).to(losses.device())).sum(),
          {right, energies.present.sum().item<float>()}};
}

lm::StepReport Training::step(int64_t step) {
  const auto dtype = options_.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const auto leaves = lm::make_leaves(parameters_, list_, dtype);
  const auto model = request_.arm.build(leaves.by_name);
  const auto groups = step_groups(step);
  const double rate = optim::learning_rate(schedule_, step);
  const auto result = lm::data_parallel_step(
      {parameters_, adam_, place_.world}, leaves,
      {.micro_shards = options_.micro_shards,
       .sums = 2,
       .learning_rate = rate,
       .adam = options_.adam},
      [&](int64_t shard) { return shard_loss(*model, groups, step, shard); });
  lm::StepReport report{.loss = result.loss,
                        .gradient_norm = result.gradient_norm,
                        .learning_rate = rate,
                        .items = result.sums[1],
                        .numbers = {0, 0}};
  report.numbers[kEpoch] =
      static_cast<double>((step + 1) * groups_) / static_cast<double>(stream_.per_epoch());
  report.numbers[kPairAccuracy] = result.sums[0] / std::max(1.0, result.sums[1]);
  return report;
}

// Each rank scores every size-th problem; all get the same mean, summed in the order of problems.
double Training::validate() const {
  const at::NoGradGuard no_grad;
  const auto dtype = options_.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const auto values = lm::make_leaves(parameters_, list_, dtype);
  const auto model = request_.arm.build(values.by_name);
  const auto& problems = request_.data.validation;
  const auto ranks = static_cast<size_t>(place_.world.size());
  base::Json mine = base::Json::array();
  for (auto p = static_cast<size_t>(place_.world.rank()); p < problems.size(); p += ranks)
    mine.push_back(score(*model, problems[p].programs, options_.batch_tokens));
  std::vector<Ranked> ranked(problems.size());
  const auto parts = place_.world.all_gather(mine.dump());
  for (size_t r = 0; r < parts.size(); ++r) {
    const auto part = base::Json::parse(parts[r]);
    for (size_t i = 0; i < part.size(); ++i) {
      auto& problem = ranked[r + i * ranks];
      problem.energies = part[i].get<std::vector<double>>();
      problem.passes = problems[r + i * ranks].passes;
    }
  }
  return mean_pairwise_accuracy(ranked);
}

std::string Training::identity() {
  auto loss = request_.loss;
  return base::canonical({{"arm", request_.arm.name()},
                          {"options", base::identity_json(base::fields_of(options_))},
                          {"loss", base::identity_json(base::fields_of(loss))},
                          {"seed", request_.seed},
                          {"first_epoch", request_.first_epoch},
                          {"steps", steps_}});
}

TrainingResult Training::run() {
  TrainingResult result;
  result.loop = lm::run_loop({parameters_, adam_, place_.world},
                             {.step = [this](int64_t number) { return step(number); },
                              .validate = [this] { return validate(); },
                              .report =
                                  [this](const lm::CurvePoint& point) {
                                    if (place_.report) place_.report(point, steps_);
                                  }},
                             {.what = "training of arm " + request_.arm.name(),
                              .identity = identity(),
                              .steps = steps_,
                              .evaluate_every = options_.evaluate_every,
                              .higher_is_better = true,
                              .patience = options_.patience,
                              .keep_best = true,
                              .checkpoint_interval_s = options_.checkpoint_interval_s,
                              .remedy = "lower train.lr"},
                             {place_.state, place_.budget});
  result.best = parameters_;
  result.best.flat.copy_(result.loop.best);
  return result;
}

}  // namespace

void TrainingOptions::fields(base::Fields& f) {
  f.add("epochs", epochs,
        {.help = "most passes over all distinct passing candidates", .min = 1, .max = 1e6});
  f.add("batch_pairs", batch_pairs, {.help = "pairs of a step", .min = 1, .max = 1e6});
  f.add("micro_shards", micro_shards,
        {.help = "gradient shards of a step, summed in a fixed tree", .min = 1, .max = 4096});
  f.add("lr", lr, {.help = "learning rate after the warm-up", .min = 0, .max = 1});
  f.add("warmup_steps", warmup_steps,
        {.help = "linear warm-up; at most half of the training", .unit = "steps", .min = 0});
  f.add("final_fraction", final_fraction,
        {.help = "share of lr at the end of the cosine", .min = 0, .max = 1});
  f.group("adam", adam);
  f.add("weight_decay", adam.weight_decay,
        {.help = "decoupled decay of matrices", .min = 0, .max = 10});
  f.add("dropout", dropout,
        {.help = "of attention weights, attention and MLP", .min = 0, .max = 0.9});
  f.add("dtype", dtype, {.help = "precision of the products", .choices = {"float32", "bfloat16"}});
  f.add("evaluate_every", evaluate_every,
        {.help = "validation interval", .unit = "steps", .min = 1, .max = 1e9});
  f.add("patience", patience,
        {.help = "validations without a better one that end the training; 0: never", .min = 0});
  f.add("batch_tokens", batch_tokens,
        {.help = "tokens scored together", .unit = "tokens", .min = 1, .max = 1e8});
  lm::add_checkpoint_interval(f, checkpoint_interval_s);
}

TrainingResult train(const TrainingRequest& request, const TrainingPlace& place) {
  base::check(request.data.miner && request.data.miner->groups_per_epoch() > 0,
              "there is a pair to train on");
  return Training(request, place).run();
}

std::vector<double> score(const EnergyModel& model, const std::vector<EncodedProgram>& programs,
                          int64_t batch_tokens) {
  const at::NoGradGuard no_grad;
  std::vector<double> out;
  for (size_t begin = 0; begin < programs.size();) {
    Sequences sequences;
    size_t end = begin;
    do {
      sequences.add(programs[end]);
      ++end;
    } while (end < programs.size() &&
             static_cast<int64_t>(sequences.ids.size() + programs[end].ids.size()) <= batch_tokens);
    const auto energies = model.energies(sequences, {}).to(at::kCPU);
    for (int64_t i = 0; i < energies.size(0); ++i) out.push_back(energies[i].item<float>());
    begin = end;
  }
  return out;
}

}  // namespace preimage::verifier
