#include "finetune.hpp"
#include "method.hpp"

#include <algorithm>
#include <filesystem>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"
#include "search.hpp"
#include "sentence_search.hpp"

namespace preimage::finetune {

namespace fs = std::filesystem;

namespace {

struct LoraFields {
  lm::AdapterOptions& options;
  void fields(base::Fields& f) { options.lora_fields(f); }
};

}  // namespace

void FinetuneConfig::fields(base::Fields& f) {
  f.add("kind", kind,
        {.help = "what is trained: a decoder (settings in train); a sentence encoder on pairs of "
                 "texts, or the inverter of one (settings in sentence, from random weights)",
         .choices = {"decoder", "encoder", "inverter"}});
  f.add("model", model,
        {.help = "checkpoint folder (config.json, a tokenizer, weights)", .required = true});
  f.add("from_scratch", from_scratch, {.help = "start from random weights; the folder needs none"});
  f.add("text", text, {.help = "JSON lines to learn", .required = true});
  f.add("validation", validation, {.help = "JSON lines to measure on", .required = true});
  f.add("save_dtype", save_dtype,
        {.help = "precision of the written weights", .choices = {"bfloat16", "float32"}});
  f.add("trains", trains,
        {.help = "weights: all of the model's, into model/; lora: an adapter beside frozen weights "
                 "(in train.dtype), into adapter/",
         .choices = {"weights", "lora"}});
  LoraFields adapter{lora};
  f.group("lora", adapter);
  f.group("train", train);
  f.add("embedder", embedder, {.help = "inverter: the sentence encoder's folder"});
  f.group("sentence", sentence);
}

base::ConfigErrors Finetune::check() {
  const bool decoder = config_.kind == "decoder";
  base::ConfigErrors errors = decoder ? config_.train.check("finetune.train.")
                                      : config_.sentence.check("finetune.sentence.");
  if ((config_.kind == "inverter") == config_.embedder.empty())
    errors.push_back("\"finetune.embedder\" belongs to kind inverter, which needs it");
  if (config_.trains_adapter() && !decoder)
    errors.push_back("finetune.trains: an adapter belongs to kind decoder");
  if (config_.trains_adapter() && config_.from_scratch)
    errors.push_back("finetune.trains: an adapter needs a trained model, not from_scratch");
  if (config_.trains_adapter() && config_.lora.targets.empty())
    errors.push_back("finetune.lora.targets: names no module");
  for (const auto& file : identity_files()) {
    if (!fs::is_regular_file(file)) errors.push_back(file + ": no such file");
  }
  if (!text::has_tokenizer(config_.model)) errors.push_back(config_.model + ": holds no tokenizer");
  return errors;
}

std::vector<std::string> Finetune::identity_files() const {
  const fs::path model = config_.model;
  const bool weights = config_.kind == "decoder" && !config_.from_scratch;
  auto files = lm::checkpoint_identity(model, weights);
  if (config_.kind == "inverter") {
    for (const auto& more :
         {inverter_files(config_.model), lm::checkpoint_identity(config_.embedder)})
      files.insert(files.end(), more.begin(), more.end());
  }
  for (const auto& file : {(model / "config.json").string(), config_.text, config_.validation})
    files.push_back(file);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

run::Estimate Finetune::estimate() {
  if (config_.kind != "decoder") {
    run::Estimate out;
    const auto& t = config_.sentence;
    out.units = 1;
    out.ranks = t.micro_shards;
    out.model_calls = static_cast<double>(t.steps * t.micro_shards * t.shard_texts);
    return out;
  }
  const auto model = lm::read_model_config(config_.model);
  const auto parameters = static_cast<double>(model.parameters());
  const auto& t = config_.train;
  run::Estimate out;
  out.units = 1;
  out.ranks = t.micro_shards;
  out.tokens = static_cast<double>(t.steps * t.micro_shards * t.shard_tokens);
  out.model_calls = out.tokens / static_cast<double>(t.context);
  // An adapter's training takes no products for the gradients of the weights.
  out.flop = (config_.trains_adapter() ? 4 : 6) * parameters * out.tokens;
  // Parameters, two moments, gradient, copies in the products' dtype; and the activations of a
  // shard.
  const double per_token =
      static_cast<double>(model.layers * (14 * model.hidden_size + 4 * model.intermediate_size));
  out.bytes_per_worker = parameters * (config_.trains_adapter() ? 4 : 22) +
                         4 * per_token * static_cast<double>(t.shard_tokens);
  return out;
}

std::unique_ptr<run::Search> Finetune::make_search(run::Context& context) {
  if (config_.kind != "decoder") return std::make_unique<SentenceSearch>(context, config_);
  return std::make_unique<FinetuneSearch>(context, config_);
}

std::unique_ptr<run::Experiment> make_method() {
  return std::make_unique<Finetune>();
}

}  // namespace preimage::finetune
