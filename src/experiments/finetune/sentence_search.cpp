#include "sentence_search.hpp"

#include <cmath>
#include <filesystem>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/cluster/session.hpp"
#include "preimage/data/corpus.hpp"
#include "preimage/lm/checkpoint/checkpoint_identity.hpp"
#include "preimage/lm/encoder/text_embedder.hpp"
#include "preimage/run/progress.hpp"
#include "preimage/run/watchdog.hpp"
#include "preimage/store/columns.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::finetune {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCurve = "finetune/sentences";
constexpr int64_t kEmbedded = 256;  // texts put through the embedder at once

struct SentenceRow {
  lm::CurvePoint point;

  void columns(store::Columns& c) const {
    const auto& p = point;
    c.add("step", p.step, {"", "optimiser step, from 0"});
    c.add("loss", p.loss,
          {"nats", "mean over the pairs (encoder) or tokens (inverter) of the step"});
    c.add("gradient_norm", p.gradient_norm, {"", "Euclidean norm before clipping"});
    c.add("learning_rate", p.learning_rate, {"", "rate of this step"});
    c.add("validation_loss", p.validation,
          {"nats", "the same over the validation texts; NaN where not measured"});
    c.add("texts_per_s", p.items_per_s, {"1/s", "pairs or texts over wall time", true});
  }
};

std::vector<lm::TextPair> read_pairs(const std::string& path, const lm::TextEmbedder& embedder,
                                     const text::Tokenizer& tokenizer) {
  std::vector<lm::TextPair> out;
  for (const auto& text : data::read_corpus(path)) {
    if (text.prompt.empty())
      throw base::data_error(path + ": an encoder learns from pairs {\"prompt\", \"completion\"}");
    out.push_back({embedder.tokens(tokenizer, text.prompt).ids,
                   embedder.tokens(tokenizer, text.completion).ids});
  }
  return out;
}

lm::InversionTexts read_texts(const std::string& path, const lm::TextEmbedder& embedder,
                              const text::Tokenizer& embedder_tokenizer,
                              const text::Tokenizer& tokenizer) {
  lm::InversionTexts out;
  if (!tokenizer.special().eos)
    throw base::data_error("the inverter's tokenizer_config.json names no eos_token");
  std::vector<at::Tensor> embeddings;
  std::vector<lm::SentenceTokens> waiting;
  const auto embed = [&] {
    if (!waiting.empty()) embeddings.push_back(embedder.embed(waiting));
    waiting.clear();
  };
  for (const auto& text : data::read_corpus(path)) {
    const auto ids = tokenizer.encode(text.completion);
    out.ids.emplace_back(ids.begin(), ids.end());
    out.ids.back().push_back(*tokenizer.special().eos);
    waiting.push_back(embedder.tokens(embedder_tokenizer, text.completion));
    if (std::ssize(waiting) == kEmbedded) embed();
  }
  embed();
  out.embeddings = at::cat(embeddings);
  return out;
}

void copy_bytes(const fs::path& from, const fs::path& to) {
  std::error_code ignored;  // what is written next says what is wrong
  fs::create_directories(to.parent_path(), ignored);
  base::write_file_atomically(to, base::read_file(from));
}

}  // namespace

std::vector<std::string> inverter_files(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto config = entry.path() / "config.json";
    if (entry.is_directory(ignored) && fs::exists(config)) out.push_back(config);
  }
  return out;
}

std::vector<run::Unit> SentenceSearch::ask(int64_t wave) {
  if (wave > 0) return {};
  return {run::make_unit("finetune", "training", base::Json::object())};
}

std::unique_ptr<lm::SentenceTask> SentenceSearch::load() const {
  const auto& c = config_;
  const auto tokenizer = text::load_tokenizer(c.model);
  if (c.kind == "encoder") {
    const lm::TextEmbedder embedder(c.model, lm::TextEmbedder::usual_pooling(c.model));
    return lm::contrastive_task(embedder.model_folder(), read_pairs(c.text, embedder, tokenizer),
                                read_pairs(c.validation, embedder, tokenizer),
                                c.sentence.temperature);
  }
  lm::TextEmbedder embedder(c.embedder, lm::TextEmbedder::usual_pooling(c.embedder));
  embedder.load({.device = context_.device()});
  const auto own = text::load_tokenizer(embedder.model_folder());
  context_.log().info("embedding " + c.text);
  return lm::inversion_task(c.model, read_texts(c.text, embedder, own, tokenizer),
                            read_texts(c.validation, embedder, own, tokenizer));
}

void SentenceSearch::report(const lm::CurvePoint& p) const {
  const auto& world = context_.world();
  if (auto* watchdog = context_.watchdog()) watchdog->tick();
  context_.progress().note(base::str("loss ", p.loss));
  context_.progress().update({0, p.step + 1, config_.sentence.steps, world.size(), world.size()});
  if (std::isnan(p.validation) || !world.root()) return;
  context_.log().info(base::str("step ", p.step + 1, ": loss ", p.loss, ", validation ",
                                p.validation, " nats, ", static_cast<int64_t>(p.items_per_s),
                                " texts/s"));
}

void SentenceSearch::prepare(int64_t) {
  const auto folder = context_.folder();
  const auto& world = context_.world();
  std::unique_ptr<lm::SentenceTask> task;
  cluster::together(world, [&] {
    std::error_code ignored;  // the first state says what is wrong
    fs::create_directories(folder, ignored);
    task = load();
  });
  auto options = config_.sentence;
  options.seed = context_.seed();
  auto parameters = task->initial(context_.seed());
  if (auto* watchdog = context_.watchdog()) watchdog->arm();
  auto result = lm::train_sentences(
      parameters, *task, options,
      {world, context_.device(), folder / "train_state.safetensors", &context_.budget(),
       [this](const lm::CurvePoint& point) { report(point); }});
  if (auto* watchdog = context_.watchdog()) watchdog->disarm();
  curve_ = std::move(result.curve);
  if (!result.finished)
    throw cluster::CollectiveError(
        base::ExitCode::stopped,
        base::str("stopped (", result.stop_reason, ") after step ", curve_.size(), " of ",
                  options.steps, "; --resume goes on"));
  cluster::on_root(world, [&] {
    const fs::path from = config_.model, to = folder / "model";
    for (const auto& files :
         {lm::checkpoint_identity(from, /*weights=*/false), inverter_files(config_.model)}) {
      for (const auto& file : files)
        copy_bytes(fs::path(file), to / fs::path(file).lexically_relative(from));
    }
    lm::save_parameters(parameters, task->tensors(),
                        config_.save_dtype == "bfloat16" ? at::kBFloat16 : at::kFloat, to);
    return std::string();
  });
}

void SentenceSearch::evaluate(run::Work& work) {
  for (const auto& unit : work.take(1)) {
    store::UnitOutput out;
    for (const auto& point : curve_) out.rows[kCurve].push_back(store::to_row(SentenceRow{point}));
    out.scalars = {{"steps", curve_.size()}, {"loss", curve_.back().loss}};
    work.commit(unit, std::move(out));
  }
}

store::Schemas SentenceSearch::schemas() const {
  store::Schemas schemas;
  schemas.tables.push_back({kCurve, "one row for each optimiser step of an encoder or inverter",
                            store::schema_columns<SentenceRow>()});
  return schemas;
}

}  // namespace preimage::finetune
