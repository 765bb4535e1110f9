#include "inverter.hpp"

#include <filesystem>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/generate/beam_search.hpp"
#include "preimage/lm/t5/correct.hpp"

namespace preimage::lipo {
namespace {

std::string collapsed(const std::string& text) {
  std::string out;
  bool space = false;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      space = !out.empty();
      continue;
    }
    if (space) out += ' ';
    space = false;
    out += c;
  }
  return out;
}

}  // namespace

void InverterConfig::fields(base::Fields& f) {
  f.add("embedder", embedder, {.help = "folder of the sentence encoder", .required = true});
  f.add("embedder_pooling", pooling,
        {.help = "pipeline: what its modules.json says; mean: the bare mean over tokens, which "
                 "vec2text calls gtr_base",
         .choices = {"pipeline", "mean"}});
  f.add("vec2text_model", model,
        {.help = "folder of the inversion model; length and repeats are its config's",
         .required = true});
  f.add("vec2text_corrector", corrector,
        {.help = "folder of the corrector; empty: the inversion model alone"});
  f.add("vec2text_beam", beam, {.help = "beams of a decoding", .min = 1, .max = 256});
  f.add("vec2text_max_length", max_length,
        {.help = "of a text, start token counted", .unit = "tokens", .min = 2, .max = 1e5});
  f.add("vec2text_no_repeat_ngram", no_repeat_ngram,
        {.help = "no n-gram comes twice; 0: any may", .min = 0, .max = 100});
  f.add(
      "vec2text_repetition_penalty", repetition_penalty,
      {.help = "factor of the log-probabilities of tokens that were there", .min = 0.1, .max = 10});
  f.add("vec2text_steps", steps, {.help = "corrections", .min = 0, .max = 1000});
  f.add(
      "vec2text_sequence_beam", sequence_beam,
      {.help = "texts kept after each correction, by cosine; 0: the newest", .min = 0, .max = 64});
}

TextInverter::TextInverter(const InverterConfig& config, at::Device device)
    : config_(config), embedder_(config.embedder, config.pooling) {
  const lm::LoadOptions options{.device = device};
  embedder_.load(options);
  embedder_tokenizer_.emplace(text::load_tokenizer(embedder_.model_folder()));
  inversion_ = lm::load_vec2text(config.model, options);
  // Published inverters come without a tokenizer: theirs is T5's, as their embedder's is.
  const std::filesystem::path own = config.model;
  const bool has_own = std::filesystem::exists(own / "tokenizer.json");
  tokenizer_.emplace(text::load_tokenizer(has_own ? own : embedder_.model_folder()));
  if (!config.corrector.empty()) {
    corrector_ = lm::load_vec2text(config.corrector, options);
    corrector_embedder_ = lm::load_encoder(embedder_.model_folder(), options);
  }
  const int64_t width = embed({"width"}).size(1);
  if (width != embedding_dim())
    throw base::data_error(base::str(config.model, ": reads embeddings of ", embedding_dim(),
                                     " numbers, those of ", config.embedder, " have ", width,
                                     ": an inverter needs the embedder it was trained with"));
}

at::Tensor TextInverter::embed(const std::vector<std::string>& texts) const {
  std::vector<lm::SentenceTokens> tokens;
  for (const auto& text : texts) tokens.push_back(embedder_.tokens(*embedder_tokenizer_, text));
  return embedder_.embed(tokens);
}

std::vector<std::string> TextInverter::invert(const at::Tensor& embeddings) const {
  lm::BeamRequest search;
  search.max_new_tokens = config_.max_length - 1;
  search.beams = config_.beam;
  search.no_repeat_ngram = config_.no_repeat_ngram;
  search.repetition_penalty = config_.repetition_penalty;
  search.stop_ids = inversion_->config().t5.eos_ids;
  std::vector<std::string> out;
  if (corrector_) {
    std::vector<lm::CorrectionRequest> requests;
    for (int64_t i = 0; i < embeddings.size(0); ++i)
      requests.push_back({embeddings[i], config_.steps, config_.sequence_beam, search});
    for (auto& corrected :
         lm::correct({*inversion_, *corrector_, *corrector_embedder_, *tokenizer_}, requests))
      out.push_back(collapsed(corrected.text));
    return out;
  }
  std::vector<lm::BeamRequest> requests;
  for (int64_t i = 0; i < embeddings.size(0); ++i) {
    requests.push_back(search);
    requests.back().prompt.embeddings = inversion_->inversion_inputs(embeddings[i]);
  }
  const auto batch = lm::make_sequence_batch(inversion_->t5());
  for (const auto& found : lm::beam_search(*batch, requests)) {
    const auto& ids = found.front().ids;
    out.push_back(collapsed(tokenizer_->decode({ids.begin(), ids.end()})));
  }
  return out;
}

}  // namespace preimage::lipo
