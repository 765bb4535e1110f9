#include "correction_lines.hpp"

#include <algorithm>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"

namespace preimage::tools {

std::vector<std::string> CorrectionLines::fields() {
  return {"steps", "sequence_beams"};
}

bool CorrectionLines::asked_by(const base::JsonNode& line) {
  return integer_or(line, "steps", 0, 0, 1 << 16) > 0;
}

void CorrectionLines::prepare(size_t lines) {
  requests_.resize(lines);
  const auto &corrector = engine_.options().corrector, &embedder = engine_.options().embedder;
  if (corrector.empty() && embedder.empty()) return;
  if (corrector.empty() || embedder.empty())
    throw base::config_error(
        "--corrector and --embedder go together: what corrects a text, and what "
        "tells how near it came");
  if (!lm::is_vec2text_folder(corrector) || !lm::read_vec2text_config(corrector).corrector)
    throw base::config_error(corrector.string() + ": is no corrector of vec2text");
  if (!engine_.seq2seq().reads_embeddings() || engine_.seq2seq().reads_tokens())
    throw base::config_error(engine_.options().model.string() +
                             ": --corrector betters the texts of a vec2text inversion model, and "
                             "this is none");
  if (!lm::is_encoder_folder(embedder))
    throw base::config_error(embedder.string() + ": is no encoder, expected the embedder");
  tokenizer_ = text::load_tokenizer(embedder);
}

void CorrectionLines::load(c10::Device device) {
  if (engine_.options().corrector.empty()) return;
  const lm::LoadOptions options{
      .dtype = engine_.options().dtype == "bfloat16" ? at::kBFloat16 : at::kFloat,
      .device = device};
  corrector_ = lm::load_vec2text(engine_.options().corrector, options);
  embedder_ = lm::load_encoder(engine_.options().embedder, options);
}

void CorrectionLines::read(size_t index, const base::JsonNode& line) {
  if (engine_.options().corrector.empty())
    line.at("steps").fail("needs the options --corrector and --embedder");
  lm::CorrectionRequest request;
  const auto embedding = engine_.seq2seq().read_embedding(line).embedding;
  request.embedding = at::tensor(embedding, at::kFloat);
  request.steps = line.at("steps").integer(1, 1 << 16);
  request.sequence_beams = integer_or(line, "sequence_beams", 0, 0, 1024);
  BeamLines::read_search(line, request.search);
  if (request.search.beams > 1 || request.search.returned > 1)
    line.fail("corrections keep \"sequence_beams\" texts and give one: num_beams and n are 1");
  requests_[index] = std::move(request);
}

void CorrectionLines::run(const Places& places, Results& results) const {
  std::vector<lm::CorrectionRequest> requests;
  int64_t widest = 1;
  for (const auto& [place, index] : places) {
    requests.push_back(*requests_[index]);
    widest = std::max(widest, requests.back().sequence_beams);
  }
  const lm::Inverter inverter{engine_.seq2seq().vec2text(), *corrector_, *embedder_, *tokenizer_};
  const auto found =
      lm::correct(inverter, requests, {.rows = std::max(widest, engine_.options().batch)});
  for (size_t i = 0; i < places.size(); ++i) results.done(places[i].place, {output(found[i])});
}

base::Json CorrectionLines::output(const lm::Corrected& one) const {
  double sum = 0;
  for (const float logprob : one.hypothesis.logprobs) sum += logprob;
  return {{"index", 0},
          {"ids", one.hypothesis.ids},
          {"text", one.text},
          {"finish_reason", one.hypothesis.finish_reason},
          {"logprobs", shortest_numbers(one.hypothesis.logprobs)},
          {"cumulative_logprob", shortest_number(static_cast<float>(sum))},
          {"cosine", shortest_number(one.cosine)}};
}

}  // namespace preimage::tools
