#include "search.hpp"

#include <cmath>
#include <filesystem>
#include <optional>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/shared_model.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/watchdog.hpp"
#include "preimage/store/columns.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "training_text.hpp"

namespace preimage::finetune {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCurve = "finetune/curve";

struct CurveRow {
  lm::CurvePoint point;
  double bytes_per_token = 1;

  void columns(store::Columns& c) const {
    const auto& p = point;
    c.add("step", p.step, {"", "optimiser step, from 0"});
    c.add("loss", p.loss, {"nats/token", "mean over the predicted tokens of the step"});
    c.add("gradient_norm", p.gradient_norm, {"", "Euclidean norm before clipping"});
    c.add("learning_rate", p.learning_rate, {"", "rate of this step"});
    c.add("validation_loss", p.validation,
          {"nats/token", "mean over the validation shards; NaN where not measured"});
    c.add("validation_bits_per_byte", p.validation / std::log(2.0) / bytes_per_token,
          {"bits/byte", "the same over the bytes of the validation text"});
    c.add("tokens_per_s", p.items_per_s, {"tokens/s", "predicted tokens over wall time", true});
  }
};

at::ScalarType stored_type(const std::string& word) {
  return word == "bfloat16" ? at::kBFloat16 : at::kFloat;
}

// The folder that transformers loads: the model's own small files beside the new weights.
void write_model(const fs::path& from, const fs::path& to, const lm::Parameters& parameters,
                 const lm::ModelConfig& config, at::ScalarType dtype) {
  std::error_code ignored;  // what is written next says what is wrong
  fs::create_directories(to, ignored);
  for (const auto& file : lm::checkpoint_identity(from, /*weights=*/false)) {
    const auto target = to / fs::path(file).lexically_relative(from);
    fs::create_directories(target.parent_path(), ignored);
    base::write_file_atomically(target, base::read_file(file));
  }
  if (const char* more = "additional_chat_templates"; fs::is_directory(from / more))
    fs::copy(from / more, to / more, fs::copy_options::overwrite_existing);
  lm::save_parameters(parameters, config, dtype, to);
}

}  // namespace

// What a training reads.
struct FinetuneSearch::Inputs {
  lm::ModelConfig model;
  std::optional<lm::TrainStream> text, validation;
  lm::Parameters parameters;              // of all weights,
  std::shared_ptr<const lm::Model> base;  // or of an adapter beside these
  lm::LiveAdapter adapter;
};

std::vector<run::Unit> FinetuneSearch::ask(int64_t wave) {
  if (wave > 0) return {};
  return {run::make_unit("finetune", "training", base::Json::object())};
}

FinetuneSearch::Inputs FinetuneSearch::load() {
  Inputs out;
  out.model = lm::read_model_config(config_.model);
  const auto tokenizer = text::load_tokenizer(config_.model);
  if (tokenizer.plain_id_limit() > out.model.vocab_size) {
    throw base::data_error(
        base::str(config_.model, ": the tokenizer has ids up to ", tokenizer.plain_id_limit() - 1,
                  ", the model's vocabulary has ", out.model.vocab_size, " rows"));
  }
  if (!tokenizer.special().eos)
    throw base::data_error(config_.model + ": tokenizer_config.json names no eos_token");
  const int64_t end_of_text = *tokenizer.special().eos;
  const int64_t longest = config_.train.context;
  context_.log().info("tokenizing " + config_.text);
  auto text = read_training_text(config_.text, tokenizer, end_of_text);
  auto validation = read_training_text(config_.validation, tokenizer, end_of_text);
  bytes_per_token_ = validation.bytes_per_token;
  out.text.emplace(std::move(text.documents), end_of_text, longest, context_.seed());
  out.validation.emplace(std::move(validation.documents), end_of_text, longest, 0);
  context_.log().info(base::str(out.text->tokens_per_epoch(), " tokens of text, ",
                                out.validation->tokens_per_epoch(), " of validation text"));
  if (config_.trains_adapter()) {
    const auto dtype = config_.train.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
    out.base =
        lm::shared_model(context_, config_.model, {.dtype = dtype, .device = context_.device()});
    out.adapter = lm::make_adapter(*out.base, config_.lora, context_.seed());
    context_.log().info(base::str("an adapter of ", out.adapter.knobs(), " numbers on ",
                                  out.adapter.modules.size(), " modules"));
  } else {
    out.parameters = config_.from_scratch
                         ? lm::initial_parameters(out.model, context_.seed(), context_.device())
                         : lm::load_parameters(config_.model, out.model, context_.device());
  }
  return out;
}

void FinetuneSearch::report(const lm::CurvePoint& p) const {
  const auto& world = context_.world();
  if (auto* watchdog = context_.watchdog()) watchdog->tick();
  context_.progress().note(base::str("loss ", p.loss));
  context_.progress().update({0, p.step + 1, config_.train.steps, world.size(), world.size()});
  if (std::isnan(p.validation) || !world.root()) return;
  context_.log().info(base::str("step ", p.step + 1, ": loss ", p.loss, ", validation ",
                                p.validation, " nats/token, ",
                                p.validation / std::log(2.0) / bytes_per_token_, " bits/byte, ",
                                static_cast<int64_t>(p.items_per_s), " tokens/s"));
}

void FinetuneSearch::prepare(int64_t) {
  const auto folder = context_.folder();
  const auto& world = context_.world();
  Inputs inputs;
  cluster::together(world, [&] {
    std::error_code ignored;  // the first state says what is wrong
    fs::create_directories(folder, ignored);
    inputs = load();
  });
  auto options = config_.train;
  options.seed = context_.seed();
  if (auto* watchdog = context_.watchdog()) watchdog->arm();
  const bool adapts = config_.trains_adapter();
  std::optional<lm::TrainedAdapter> adapter;
  if (adapts) adapter.emplace(lm::TrainedAdapter{*inputs.base, inputs.adapter});
  auto& parameters = adapts ? inputs.adapter.parameters : inputs.parameters;
  auto result = lm::train(
      parameters,
      {inputs.model, *inputs.text, *inputs.validation, options, adapts ? &*adapter : nullptr},
      {world, folder / "train_state.safetensors", &context_.budget(),
       [this](const lm::CurvePoint& point) { report(point); }});
  if (auto* watchdog = context_.watchdog()) watchdog->disarm();
  curve_ = std::move(result.curve);
  if (!result.finished)
    throw cluster::CollectiveError(
        base::ExitCode::stopped,
        base::str("stopped (", result.stop_reason, ") after step ", curve_.size(), " of ",
                  options.steps, "; --resume goes on"));
  cluster::on_root(world, [&] {
    if (config_.trains_adapter()) {
      lm::save_adapter(inputs.adapter, config_.model, stored_type(config_.save_dtype),
                       folder / "adapter");
    } else {
      write_model(config_.model, folder / "model", inputs.parameters, inputs.model,
                  stored_type(config_.save_dtype));
    }
    return std::string();
  });
}

void FinetuneSearch::evaluate(run::Work& work) {
  for (const auto& unit : work.take(1)) {
    store::UnitOutput out;
    for (const auto& point : curve_)
      out.rows[kCurve].push_back(store::to_row(CurveRow{point, bytes_per_token_}));
    out.scalars = {{"steps", curve_.size()}, {"loss", curve_.back().loss}};
    work.commit(unit, std::move(out));
  }
}

store::Schemas FinetuneSearch::schemas() const {
  store::Schemas schemas;
  schemas.tables.push_back(
      {kCurve, "one row for each optimiser step", store::schema_columns<CurveRow>()});
  return schemas;
}

}  // namespace preimage::finetune
