#include "beam_lines.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/lm/t5/tasks.hpp"

namespace preimage::tools {
namespace {

using base::Json;

double finite_or(const base::JsonNode& line, const char* name, double otherwise) {
  const double value = number_or(line, name, otherwise);
  if (!std::isfinite(value)) line.at(name).fail("is not finite");
  return value;
}

lm::EarlyStopping early_stopping(const base::JsonNode& line) {
  const auto given = line.find("early_stopping");
  if (!given || given->json() == false) return lm::EarlyStopping::no;
  if (given->json() == true) return lm::EarlyStopping::yes;
  if (given->json() == "never") return lm::EarlyStopping::never;
  given->wrong_type("true, false or \"never\"");
}

}  // namespace

std::vector<std::string> BeamLines::fields() {
  return {"num_beams", "length_penalty", "early_stopping", "embedding", "hypothesis_embedding"};
}

bool BeamLines::asked_by(const base::JsonNode& line) {
  return integer_or(line, "num_beams", 1, 1, 1024) > 1;
}

void BeamLines::read_search(const base::JsonNode& line, lm::BeamRequest& request) {
  request.beams = integer_or(line, "num_beams", 1, 1, 1024);
  request.returned = integer_or(line, "n", 1, 1, 1 << 20);
  if (request.returned > request.beams)
    line.fail(base::str("found n ", request.returned, " and num_beams ", request.beams,
                        ": beams give at most num_beams completions"));
  request.length_penalty = finite_or(line, "length_penalty", 1);
  request.early_stopping = early_stopping(line);
  request.repetition_penalty = finite_or(line, "repetition_penalty", 1);
  if (!(request.repetition_penalty > 0)) line.at("repetition_penalty").fail("must be above 0");
  request.no_repeat_ngram = integer_or(line, "no_repeat_ngram", 0, 0, 1 << 20);
  request.max_new_tokens = integer_or(line, "max_new_tokens", 128, 1, INT32_MAX);
  if (finite_or(line, "temperature", 0) != 0)
    line.at("temperature").fail("does not go with num_beams above 1: beams do not sample");
}

void BeamLines::read(size_t index, const base::JsonNode& line,
                     const std::optional<std::vector<int64_t>>& prompt) {
  Item item;
  auto& request = item.request;
  read_search(line, request);
  auto stops = engine_.stops(line);
  request.stop = std::move(stops.strings), request.stop_ids = std::move(stops.ids);
  if (!request.stop.empty()) request.tokenizer = &engine_.tokenizer();
  item.top = integer_or(line, "logprobs", 0, 0, engine_.config().vocab_size);
  item.embedding = engine_.seq2seq().read_embedding(line);
  request.prompt.embeddings = engine_.soft_prompt(line);
  if (engine_.seq2seq().reads_tokens() && !prompt && !request.prompt.embeddings.defined())
    line.fail("found no \"prompt\", \"prompt_ids\" or \"soft_prompt\", expected one");
  if (prompt) request.prompt.ids = *prompt;
  const int64_t tokens = request.prompt.tokens();
  if (tokens == 0 && engine_.seq2seq().reads_tokens())
    line.fail("found an empty prompt, expected at least one token");
  const int64_t context = engine_.config().max_position_embeddings;
  if (request.max_new_tokens > context - tokens) {
    line.fail(base::str("found a prompt of ", tokens, " tokens and max_new_tokens ",
                        request.max_new_tokens, ", the model's context holds ", context,
                        "; shorten one of them"));
  }
  items_[index] = std::move(item);
}

std::vector<std::vector<lm::Hypothesis>> BeamLines::search(
    const std::vector<lm::BeamRequest>& requests) const {
  // A batch is a number of sequences to the caller; beams make more rows of each.
  int64_t beams = 0, longest = 0;
  for (const auto& request : requests) {
    beams = std::max(beams, request.beams);
    longest = std::max(longest, request.prompt.tokens() + request.max_new_tokens);
  }
  const int64_t rows = std::max(beams, engine_.options().batch);
  const auto batch = engine_.seq2seq().here()
                         ? lm::make_sequence_batch(engine_.seq2seq().model())
                         : lm::make_sequence_batch(engine_.model(), rows, longest);
  return lm::beam_search(*batch, requests, {.rows = rows});
}

void BeamLines::run(const Places& places, Results& results) const {
  // Some batches at a time, so that the first lines are written before the last are begun.
  const auto at_once = static_cast<size_t>(4 * engine_.options().batch);
  for (size_t first = 0; first < places.size(); first += at_once) {
    const size_t end = std::min(first + at_once, places.size());
    std::vector<lm::BeamRequest> requests;
    for (size_t i = first; i < end; ++i) {
      const auto& item = *items_[places[i].index];
      requests.push_back(item.request);
      if (engine_.seq2seq().reads_embeddings()) {
        auto& prompt = requests.back().prompt;
        prompt = engine_.seq2seq().prompt(prompt.ids, item.embedding);
      }
    }
    const auto found = search(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
      const auto& [place, index] = places[first + i];
      Outputs outputs;
      for (const auto& one : found[i]) {
        outputs.push_back(output(one, requests[i], items_[index]->top));
        outputs.back()["index"] = outputs.size() - 1;
      }
      results.done(place, std::move(outputs));
    }
  }
}

Json BeamLines::output(const lm::Hypothesis& one, const lm::BeamRequest& request,
                       int64_t top) const {
  double sum = 0;
  for (const float logprob : one.logprobs) sum += logprob;
  Json out = {{"ids", one.ids},
              {"finish_reason", one.finish_reason},
              {"logprobs", shortest_numbers(one.logprobs)},
              {"cumulative_logprob", shortest_number(static_cast<float>(sum))},
              {"text", one.finish_reason == "stop" ? Json(one.text)
                       : engine_.has_tokenizer()   ? Json(engine_.tokenizer().decode(one.ids))
                                                   : Json()}};
  if (top == 0) return out;
  out["top"] = Json::array();
  if (one.ids.empty()) return out;
  // Scoring gives the bits of decoding.
  const std::vector<lm::ScoreRequest> again = {
      {request.prompt.ids, request.prompt.embeddings, one.ids}};
  const lm::ScoreOptions options{.top = top};
  const auto scores = engine_.seq2seq().here()
                          ? lm::score(engine_.seq2seq().model(), again, options)
                          : lm::score(engine_.model(), again, options);
  out["top"] = top_json(scores[0].top);
  return out;
}

}  // namespace preimage::tools
