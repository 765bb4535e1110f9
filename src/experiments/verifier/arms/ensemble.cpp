#include "arms/ensemble.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "arms/likelihood_arm.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/watchdog.hpp"

namespace preimage::verifier {
namespace {

namespace fs = std::filesystem;

// Above the epochs of any training, so that no two seeds mine the same ones.
constexpr int64_t kMostEpochs = 1'000'000;

at::ScalarType products_dtype(const VerifierConfig& config) {
  return config.train.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

// Once for all arms and all combinations of a sweep.
std::shared_ptr<const StoredModel> stored_generator(const run::Context& context,
                                                    const VerifierConfig& config) {
  const auto& folder = config.generation.model;
  const lm::LoadOptions load{.dtype = products_dtype(config), .device = context.device()};
  return context.shared<StoredModel>(lm::load_key(folder, load),
                                     [&] { return load_stored(folder, load); });
}

std::unique_ptr<const Arm> make_arm(const std::string& kind, const Setup& setup,
                                    const run::Context& context) {
  const auto& c = setup.config;
  const bool bounded = c.arms.energy == "sigmoid";
  if (kind == "generator") {
    return std::make_unique<GeneratorArm>(
        stored_generator(context, c),
        GeneratorArmOptions{.tuned_layers = c.arms.tuned_layers, .bounded = bounded});
  }
  if (kind == "likelihood") {
    return std::make_unique<LikelihoodArm>(stored_generator(context, c),
                                           LikelihoodArmOptions{.tuned_layers = c.arms.tuned_layers,
                                                                .bounded = bounded,
                                                                .scale = c.arms.scale,
                                                                .offset = c.arms.offset});
  }
  return std::make_unique<OuroborosArm>(OuroborosConfig{.vocab_size = setup.tokenizer.id_limit(),
                                                        .hidden_size = c.arms.hidden_size,
                                                        .layers = c.arms.layers,
                                                        .heads = c.arms.heads,
                                                        .bounded = bounded});
}

// The seed of a training's start, masks and mining.
uint64_t training_seed(uint64_t run_seed, const TrainedModel& model) {
  const base::RandomStream stream(run_seed, base::str(model.arm, "/", model.loss, "/", model.seed),
                                  "training");
  return (uint64_t{stream.bits(0)} << 32) | stream.bits(1);
}

// One file for each training.
fs::path state_file(const run::Context& context, const TrainedModel& model) {
  return context.folder() / "training" /
         base::str(model.arm, "-", model.loss, "-", model.seed, ".safetensors");
}

// -1 where no validation problem has a pair.
double best_accuracy(const TrainedModel& model) {
  return model.result.loop.best_step < 0 ? -1 : model.result.loop.best_validation;
}

}  // namespace

Ensemble::Ensemble(run::Context& context, const Setup& setup) : context_(context), setup_(setup) {
  for (const auto& kind : setup.config.arms.kinds) arms_.push_back(make_arm(kind, setup, context));
}

void Ensemble::prepare(TrainingData& data) const {
  std::vector<EncodedProgram*> programs;
  const auto add = [&](Examples& examples) {
    for (auto& program : examples.programs) programs.push_back(&program);
  };
  for (auto& examples : data.validation) add(examples);
  for (auto& examples : data.train) {
    const auto passing = std::count(examples.passes.begin(), examples.passes.end(), true);
    if (passing > 0 && passing < std::ssize(examples.passes)) add(examples);
  }
  for (const auto& arm : arms_) arm->prepare(programs, setup_.config.arms.state_mb * (1 << 20));
}

void Ensemble::prepare(std::vector<EncodedProgram>& programs) const {
  std::vector<EncodedProgram*> all;
  for (auto& program : programs) all.push_back(&program);
  for (const auto& arm : arms_) arm->prepare(all, std::numeric_limits<double>::infinity());
}

const Arm& Ensemble::arm_named(const std::string& name) const {
  for (const auto& arm : arms_) {
    if (arm->name() == name) return *arm;
  }
  throw base::Error(base::ExitCode::bug, "no arm " + name);
}

TrainingResult Ensemble::train_one(const TrainedModel& model, const Arm& arm,
                                   const TrainingSet& data) {
  LossOptions loss = setup_.config.loss;
  loss.kind = model.loss;
  const auto name = base::str("training ", model.arm, " ", model.loss, " seed ", model.seed);
  const auto report = [&](const lm::CurvePoint& point, int64_t steps) {
    if (auto* watchdog = context_.watchdog()) watchdog->tick();
    context_.progress().note(base::str(name, ", loss ", point.loss));
    context_.progress().update(
        {0, point.step + 1, steps, context_.world().size(), context_.world().size()});
  };
  if (auto* watchdog = context_.watchdog()) watchdog->arm();
  auto result = verifier::train({arm, data.data, setup_.config.train, loss,
                                 training_seed(setup_.seed, model), model.seed * kMostEpochs},
                                {context_.world(), context_.device(), state_file(context_, model),
                                 &context_.budget(), report});
  // What follows may be silent for long.
  if (auto* watchdog = context_.watchdog()) watchdog->disarm();
  return result;
}

void Ensemble::train(const TrainingSet& data) {
  const auto& c = setup_.config;
  cluster::on_root(context_.world(), [&] {
    std::error_code ignored;  // the first state says what is wrong
    fs::create_directories(context_.folder() / "training", ignored);
    return std::string();
  });
  std::map<std::string, double> accuracy;  // by arm and loss: sum over seeds
  double best = -1;
  for (const auto& arm : arms_) {
    for (const auto& loss : c.losses) {
      auto& sum = accuracy[arm->name() + loss];
      for (int64_t seed = 0; seed < c.training_seeds; ++seed) {
        TrainedModel model{arm->name(), loss, seed, {}, loss == "bce"};
        model.result = train_one(model, *arm, data);
        if (!model.result.loop.finished)
          throw cluster::CollectiveError(
              base::ExitCode::stopped,
              base::str("stopped (", model.result.loop.stop_reason, ") in a training of arm ",
                        model.arm, " after step ", model.result.loop.curve.size(),
                        "; --resume goes on"));
        sum += best_accuracy(model);
        if (context_.world().root())
          context_.log().info(base::str(
              "arm ", model.arm, ", loss ", loss, ", seed ", seed, ": ",
              model.result.loop.curve.size(), " steps, best validation pairwise accuracy ",
              best_accuracy(model), " at step ", model.result.loop.best_step));
        trained_.push_back(std::move(model));
      }
      if (chosen_arm_.empty() || sum > best)
        best = sum, chosen_arm_ = arm->name(), chosen_loss_ = loss;
    }
  }
}

bool Ensemble::is_chosen(const TrainedModel& model) const {
  return model.arm == chosen_arm_ && model.loss == chosen_loss_;
}

void Ensemble::open() {
  const at::NoGradGuard no_grad;
  models_.clear();
  for (const auto& model : trained_) {
    const auto& arm = arm_named(model.arm);
    const auto values =
        lm::make_leaves(model.result.best, arm.trained(), products_dtype(setup_.config));
    models_.push_back(arm.build(values.by_name));
  }
}

std::vector<double> Ensemble::score(size_t index,
                                    const std::vector<EncodedProgram>& programs) const {
  auto energies = verifier::score(*models_[index], programs, setup_.config.train.batch_tokens);
  if (trained_[index].probabilities) {
    for (auto& energy : energies) energy = 1 / (1 + std::exp(-energy));
  }
  return energies;
}

std::vector<TrainingRow> Ensemble::rows() const {
  std::vector<TrainingRow> out;
  for (const auto& model : trained_) {
    for (const auto& p : model.result.loop.curve) {
      TrainingRow row;
      row.arm = model.arm, row.loss = model.loss, row.seed = model.seed;
      row.step = p.step, row.epoch = p.numbers[kEpoch];
      row.training_loss = p.loss, row.pair_accuracy = p.numbers[kPairAccuracy];
      row.gradient_norm = p.gradient_norm, row.learning_rate = p.learning_rate;
      row.validation_accuracy = p.validation;
      row.best = p.step == model.result.loop.best_step;
      row.pairs_per_s = p.items_per_s;
      out.push_back(row);
    }
  }
  return out;
}

}  // namespace preimage::verifier
