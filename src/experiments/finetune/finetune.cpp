#include "finetune.hpp"
#include "method.hpp"

#include <cmath>
#include <filesystem>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/data/corpus.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/recorder.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::finetune {
namespace {

namespace fs = std::filesystem;

store::Schemas finetune_schemas() {
  using store::Type;
  store::Schemas schemas;
  schemas.tables.push_back(
      {"finetune/curve",
       "one row for each optimiser step",
       {{"step", Type::i64, "", "optimiser step, from 0"},
        {"loss", Type::f64, "nats/token", "mean over the predicted tokens of the step"},
        {"gradient_norm", Type::f64, "", "Euclidean norm before clipping"},
        {"learning_rate", Type::f64, "", "rate of this step"},
        {"validation_loss", Type::f64, "nats/token",
         "mean over the validation shards; NaN where not measured"},
        {"validation_bits_per_byte", Type::f64, "bits/byte",
         "the same over the bytes of the validation text"},
        {"tokens_per_s", Type::f64, "tokens/s", "predicted tokens over wall time", true}}});
  return schemas;
}

struct Documents {
  std::vector<lm::TrainDocument> list;
  double bytes_per_token = 1;  // of the predicted text, end-of-text tokens counted as tokens
};

lm::TrainDocument tokenize_one(const data::TrainingText& text, const text::Tokenizer& tokenizer,
                               int64_t end_of_text) {
  lm::TrainDocument document;
  const auto append = [&](const std::string& part) {
    const auto ids = tokenizer.encode(part);
    document.ids.insert(document.ids.end(), ids.begin(), ids.end());
  };
  append(text.prompt);
  document.first_target = static_cast<int64_t>(document.ids.size());
  append(text.completion);
  document.ids.push_back(static_cast<int32_t>(end_of_text));
  return document;
}

Documents tokenize(const std::string& path, const text::Tokenizer& tokenizer, int64_t end_of_text) {
  const auto texts = data::read_corpus(path);
  const auto count = static_cast<int64_t>(texts.size());
  Documents out;
  out.list.resize(texts.size());
  at::parallel_for(0, count, 16, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out.list[i] = tokenize_one(texts[i], tokenizer, end_of_text);
  });
  double bytes = 0, tokens = 0;
  for (int64_t i = 0; i < count; ++i) {
    bytes += static_cast<double>(texts[i].completion.size());
    tokens += static_cast<double>(static_cast<int64_t>(out.list[i].ids.size()) -
                                  out.list[i].first_target);
  }
  out.bytes_per_token = bytes / tokens;
  return out;
}

// The folder that transformers loads: the model's own small files beside the new weights.
void write_model(const fs::path& from, const fs::path& to, const lm::Parameters& parameters,
                 const lm::ModelConfig& config, const std::string& dtype) {
  fs::create_directories(to);
  for (const char* name :
       {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "special_tokens_map.json", "chat_template.jinja", "vocab.json", "merges.txt"}) {
    if (fs::exists(from / name))
      base::write_file_atomically(to / name, base::read_file(from / name));
  }
  lm::save_parameters(parameters, config, dtype == "bfloat16" ? at::kBFloat16 : at::kFloat, to);
}

store::UnitOutput curve_rows(const std::vector<lm::TrainPoint>& curve, double bytes_per_token) {
  store::UnitOutput out;
  auto& rows = out.rows["finetune/curve"];
  for (const auto& p : curve) {
    const double validation = p.validation_loss < 0 ? std::nan("") : p.validation_loss;
    rows.push_back({p.step, p.loss, p.gradient_norm, p.learning_rate, validation,
                    validation / std::log(2.0) / bytes_per_token, p.tokens_per_s});
  }
  return out;
}

}  // namespace

void FinetuneConfig::fields(base::Fields& f) {
  f.add("model", model,
        {.help = "checkpoint folder (config.json, tokenizer.json, weights)", .required = true});
  f.add("from_scratch", from_scratch, {.help = "start from random weights; the folder needs none"});
  f.add("text", text, {.help = "JSON lines to learn", .required = true});
  f.add("validation", validation, {.help = "JSON lines to measure on", .required = true});
  f.add("save_dtype", save_dtype,
        {.help = "precision of the written weights", .choices = {"bfloat16", "float32"}});
  f.group("train", train);
}

base::ConfigErrors Finetune::check() {
  base::ConfigErrors errors = config_.train.schedule.check("train.schedule.");
  if (config_.train.schedule.steps != config_.train.steps) {
    errors.push_back(base::str("train.schedule.steps is ", config_.train.schedule.steps,
                               " but train.steps is ", config_.train.steps,
                               "; set both to the same number"));
  }
  for (const auto& file : identity_files()) {
    if (!fs::is_regular_file(file)) errors.push_back(file + ": no such file");
  }
  return errors;
}

std::vector<std::string> Finetune::identity_files() const {
  const fs::path model = config_.model;
  std::vector<std::string> files = {model / "config.json", model / "tokenizer.json", config_.text,
                                    config_.validation};
  if (!config_.from_scratch && fs::exists(model / "model.safetensors"))
    files.push_back(model / "model.safetensors");
  return files;
}

run::Estimate Finetune::estimate() {
  const auto model = lm::read_model_config(config_.model);
  const auto parameters = static_cast<double>(model.parameters());
  const auto& t = config_.train;
  run::Estimate out;
  out.units = 1;
  out.tokens = static_cast<double>(t.steps * t.micro_shards * t.shard_tokens);
  out.model_calls = out.tokens / static_cast<double>(t.context);
  out.flop = 6 * parameters * out.tokens;
  // Parameters, two moments, gradient, copies in the products' dtype; and the activations of a
  // shard.
  const double per_token =
      static_cast<double>(model.layers * (14 * model.hidden_size + 4 * model.intermediate_size));
  out.bytes_per_worker = parameters * 22 + 4 * per_token * static_cast<double>(t.shard_tokens);
  return out;
}

void Finetune::run(run::Context& context) {
  const auto model = lm::read_model_config(config_.model);
  const auto tokenizer = text::load_tokenizer(config_.model);
  if (tokenizer.id_limit() > model.vocab_size) {
    throw base::data_error(base::str(config_.model, ": the tokenizer has ids up to ",
                                     tokenizer.id_limit() - 1, ", the model's vocabulary has ",
                                     model.vocab_size, " rows"));
  }
  if (!tokenizer.special().eos)
    throw base::data_error(config_.model + ": tokenizer_config.json names no eos_token");
  const int64_t end_of_text = *tokenizer.special().eos;
  context.log().info("tokenizing " + config_.text);
  auto train_documents = tokenize(config_.text, tokenizer, end_of_text);
  auto validation_documents = tokenize(config_.validation, tokenizer, end_of_text);
  const double bytes_per_token = validation_documents.bytes_per_token;
  auto options = config_.train;
  options.seed = context.seed();
  const lm::TrainStream text(std::move(train_documents.list), end_of_text, options.context,
                             options.seed);
  const lm::TrainStream validation(std::move(validation_documents.list), end_of_text,
                                   options.context, 0);
  context.log().info(base::str(text.tokens_per_epoch(), " tokens of text, ",
                               validation.tokens_per_epoch(), " of validation text"));

  auto parameters = config_.from_scratch
                        ? lm::initial_parameters(model, options.seed, context.device())
                        : lm::load_parameters(config_.model, model, context.device());
  const auto report = [&](const lm::TrainPoint& p) {
    context.progress().note(base::str("loss ", p.loss));
    context.progress().update(
        {0, p.step + 1, options.steps, context.world().size(), context.world().size()});
    if (p.validation_loss >= 0 && context.world().root()) {
      context.log().info(
          base::str("step ", p.step + 1, ": loss ", p.loss, ", validation ", p.validation_loss,
                    " nats/token, ", p.validation_loss / std::log(2.0) / bytes_per_token,
                    " bits/byte, ", static_cast<int64_t>(p.tokens_per_s), " tokens/s"));
    }
  };
  context.recorder().set_schemas(finetune_schemas());
  const auto result =
      lm::train(parameters, model, text, validation, options,
                {context.world(), context.device(), context.out(), &context.budget(), report});
  if (!result.finished)
    throw base::stopped_error("stopped after step " + std::to_string(result.curve.size()));
  if (context.world().root()) {
    write_model(config_.model, context.out() / "model", parameters, model, config_.save_dtype);
    context.recorder().add_final(curve_rows(result.curve, bytes_per_token));
  }
  context.recorder().merge({context.config(), finetune_schemas()});
}

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Finetune>();
}

}  // namespace preimage::finetune
