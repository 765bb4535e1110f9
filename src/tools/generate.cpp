#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "beam_lines.hpp"
#include "correction_lines.hpp"
#include "jsonl.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/generate/generate.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using base::Json;

// One live line on a terminal.
class TokenCount {
 public:
  void add() {
    if (!live_) return;
    ++tokens_;
    const auto now = std::chrono::steady_clock::now();
    if (now - drawn_ < std::chrono::milliseconds(200)) return;
    drawn_ = now;
    const double seconds = std::chrono::duration<double>(now - start_).count();
    std::fprintf(stderr, "\r%lld tokens, %.0f tokens/s ", static_cast<long long>(tokens_),
                 static_cast<double>(tokens_) / seconds);
  }
  ~TokenCount() {
    if (tokens_ > 0) std::fputs("\r\33[K", stderr);
  }

 private:
  bool live_ = ::isatty(STDERR_FILENO) != 0;
  int64_t tokens_ = 0;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), drawn_ = start_;
};

class Generate : public LineTool {
 public:
  explicit Generate(const EngineOptions& options) : engine_(options) {}

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
    return {"index", "text", "ids", "finish_reason", "logprobs", "top", "cumulative_logprob",
            "cosine"};
  }
  void prepare(size_t lines) override {
    engine_.prepare();
    requests_.resize(lines);
    embeddings_.resize(lines);
    beams_.resize(lines);
    corrections_.prepare(lines);
  }
  void read(size_t index, const base::JsonNode& line, std::string_view raw) override;
  void load(c10::Device device) override {
    engine_.load(device);
    corrections_.load(device);
  }
  std::vector<Outputs> run(const std::vector<size_t>& indices) override;

 private:
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

std::vector<Outputs> Generate::run(const std::vector<size_t>& indices) {
  const auto rest = [this](const std::vector<size_t>& others) { return run(others); };
  if (corrections_.any(indices)) return corrections_.run(indices, rest);
  if (beams_.any(indices)) return beams_.run(indices, rest);
  const auto& seq2seq = engine_.seq2seq();
  std::vector<lm::GenerateRequest> requests;
  for (const size_t i : indices) {
    requests.push_back(std::move(requests_[i]));
    if (seq2seq.reads_embeddings()) {
      auto& request = requests.back();
      const auto prompt = seq2seq.prompt(request.ids, embeddings_[i]);
      request.ids = prompt.ids;
      request.embeddings = prompt.embeddings;
    }
  }
  TokenCount count;
  lm::GenerateOptions options{.batch = engine_.options().batch};
  if (engine_.has_tokenizer()) options.tokenizer = &engine_.tokenizer();
  options.stop = [&](const lm::Completion&) {
    count.add();
    return false;
  };
  std::vector<Outputs> outputs(indices.size());
  for (const auto& completion : seq2seq.here() ? lm::generate(seq2seq.model(), requests, options)
                                               : lm::generate(engine_.model(), requests, options)) {
    const auto request = static_cast<size_t>(completion.request);
    outputs[request].push_back(output(completion, requests[request].top > 0));
  }
  return outputs;
}

}  // namespace

std::unique_ptr<LineTool> make_generate(const EngineOptions& options) {
  return std::make_unique<Generate>(options);
}

}  // namespace preimage::tools
