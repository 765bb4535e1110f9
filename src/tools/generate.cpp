#include <algorithm>
#include <map>

#include "beam_lines.hpp"
#include "correction_lines.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using base::Json;

class Generate : public LineTool {
 public:
  explicit Generate(const EngineOptions& options) : engine_(options, lm::Use::generate) {}

  std::vector<std::string> notes() const override { return engine_.notes(); }
  std::string name() const override { return "generate"; }
  std::vector<std::string> input_fields() const override {
    std::vector<std::string> names = {
        "prompt", "prompt_ids", "max_new_tokens", "temperature",        "top_k",
        "top_p",  "min_p",      "seed",           "repetition_penalty", "no_repeat_ngram",
        "n",      "stop",       "stop_ids",       "ignore_eos",         "soft_prompt"};
    for (const auto& name : BeamLines::fields()) names.push_back(name);
    for (const auto& name : CorrectionLines::fields()) names.push_back(name);
    for (const auto& name : Conversations::fields()) names.push_back(name);
    return names;
  }
  std::vector<std::string> output_fields() const override {
    return {"text",   "index", "finish_reason", "cumulative_logprob",
            "cosine", "ids",   "logprobs",      "top"};
  }
  void prepare(size_t lines) override {
    engine_.prepare();
    requests_.resize(lines);
    embeddings_.resize(lines);
    beams_.resize(lines);
    corrections_.prepare(lines);
  }
  void read(size_t index, const base::JsonNode& line, std::string_view raw) override;
  std::vector<std::string> warnings() const override { return engine_.generation_warnings(); }
  void load(const std::string& device) override {
    engine_.load(c10::Device(device));
    corrections_.load(c10::Device(device));
  }
  void run(const std::vector<size_t>& indices, Results& results) override;

 private:
  void run_plain(const Places& places, Results& results);
  Json output(const lm::Completion& completion, bool top) const;

  Engine engine_;
  BeamLines beams_{engine_};
  CorrectionLines corrections_{engine_};
  std::vector<lm::GenerateRequest> requests_;
  std::vector<EmbeddingFields> embeddings_;  // of a vec2text model
};

lm::SamplingOptions read_sampling(const base::JsonNode& line) {
  lm::SamplingOptions sampling;
  sampling.temperature = number_or(line, "temperature", 0);
  sampling.top_k = integer_or(line, "top_k", 0, 0);
  sampling.top_p = number_or(line, "top_p", 1);
  sampling.min_p = number_or(line, "min_p", 0);
  sampling.repetition_penalty = number_or(line, "repetition_penalty", 1);
  sampling.no_repeat_ngram = integer_or(line, "no_repeat_ngram", 0, 0);
  sampling.seed = static_cast<uint64_t>(integer_or(line, "seed", 0, 0));
  lm::require_sampling(sampling, line.place());
  return sampling;
}

void Generate::read(size_t index, const base::JsonNode& line, std::string_view raw) {
  if (CorrectionLines::asked_by(line)) return corrections_.read(index, line);
  const auto prompt = engine_.prompt_tokens(line, raw);
  if (BeamLines::asked_by(line)) return beams_.read(index, line, prompt);
  lm::GenerateRequest request;
  request.embeddings = engine_.soft_prompt(line);
  embeddings_[index] = engine_.seq2seq().read_embedding(line);
  const bool reads_tokens = engine_.seq2seq().reads_tokens();
  if (reads_tokens && !prompt && !request.embeddings.defined())
    line.fail("found no \"prompt\", \"prompt_ids\" or \"soft_prompt\", expected one");
  if (prompt) request.ids = *prompt;
  const int64_t soft = request.embeddings.defined() ? request.embeddings.size(0) : 0;
  const auto tokens = static_cast<int64_t>(request.ids.size()) + soft;
  if (reads_tokens && tokens == 0) line.fail("found an empty prompt, expected at least one token");
  request.max_new_tokens = integer_or(line, "max_new_tokens", 128, 0);
  const int64_t context = engine_.config().max_position_embeddings;
  if (request.max_new_tokens > context - tokens) {
    line.fail(base::str("found a prompt of ", tokens, " tokens and max_new_tokens ",
                        request.max_new_tokens, ", the model's context holds ", context,
                        "; shorten one of them"));
  }
  request.top = integer_or(line, "logprobs", 0, 0, engine_.config().vocab_size);
  request.n = integer_or(line, "n", 1, 1, 1 << 20);
  request.sampling = read_sampling(line);
  auto stops = engine_.stops(line);
  request.stop = std::move(stops.strings), request.stop_ids = std::move(stops.ids);
  requests_[index] = std::move(request);
}

Json Generate::output(const lm::Completion& completion, bool top) const {
  double sum = 0;
  for (const float logprob : completion.logprobs) sum += logprob;
  Json out = {{"index", completion.index},
              {"ids", completion.ids},
              {"finish_reason", completion.finish_reason},
              {"logprobs", shortest_numbers(completion.logprobs)},
              {"cumulative_logprob", shortest_number(static_cast<float>(sum))}};
  out["text"] = engine_.has_tokenizer() ? Json(completion.text) : Json();
  if (top) out["top"] = top_json(completion.top);
  return out;
}

// A line's place is done when all its completions are.
void Generate::run_plain(const Places& places, Results& results) {
  const auto& seq2seq = engine_.seq2seq();
  std::vector<lm::GenerateRequest> requests;
  for (const auto& [place, index] : places) {
    requests.push_back(std::move(requests_[index]));
    if (seq2seq.reads_embeddings()) {
      auto& request = requests.back();
      const auto prompt = seq2seq.prompt(request.ids, embeddings_[index]);
      request.ids = prompt.ids;
      request.embeddings = prompt.embeddings;
    }
  }
  lm::GenerateOptions options{.batch = engine_.options().batch};
  if (engine_.has_tokenizer()) options.tokenizer = &engine_.tokenizer();
  options.stop = [&](const lm::Completion&) {
    results.tokens(1);
    return false;
  };
  std::vector<std::map<int64_t, Json>> finished(places.size());  // by index among a line's n
  options.finished = [&](const lm::Completion& completion) {
    const auto at = static_cast<size_t>(completion.request);
    auto& own = finished[at];
    own.emplace(completion.index, output(completion, requests[at].top > 0));
    if (static_cast<int64_t>(own.size()) < requests[at].n) return;
    Outputs outputs;
    for (const auto& [index, one] : own) outputs.push_back(one);
    results.done(places[at].place, std::move(outputs));
  };
  if (seq2seq.here()) {
    lm::generate(seq2seq.model(), requests, options);
  } else {
    lm::generate(engine_.model(), requests, options);
  }
}

void Generate::run(const std::vector<size_t>& indices, Results& results) {
  Places plain, beams, corrections;
  for (size_t place = 0; place < indices.size(); ++place) {
    const size_t index = indices[place];
    auto& own = corrections_.has(index) ? corrections : beams_.has(index) ? beams : plain;
    own.push_back({place, index});
  }
  if (!corrections.empty()) corrections_.run(corrections, results);
  if (!beams.empty()) beams_.run(beams, results);
  if (!plain.empty()) run_plain(plain, results);
}

}  // namespace

std::unique_ptr<LineTool> make_generate(const EngineOptions& options) {
  return std::make_unique<Generate>(options);
}

}  // namespace preimage::tools
