#include "preimage/lm/score.hpp"

#include "preimage/base/str.hpp"
#include "preimage/lm/t5/tasks.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using base::Json;

class ScoreTool : public LineTool {
 public:
  ScoreTool(const EngineOptions& options, int64_t top)
      : engine_(options, lm::Use::score), top_(top) {}

  std::vector<std::string> notes() const override { return engine_.notes(); }

  std::string name() const override { return "score"; }
  std::vector<std::string> input_fields() const override {
    std::vector<std::string> names = {"prompt", "prompt_ids", "continuation", "continuation_ids",
                                      "soft_prompt"};
    for (const auto& name : Conversations::fields()) names.push_back(name);
    return names;
  }
  std::vector<std::string> output_fields() const override { return {"logprobs", "top"}; }
  void prepare(size_t lines) override {
    engine_.prepare();
    requests_.resize(lines);
  }
  std::vector<std::string> warnings() const override { return engine_.warnings(); }
  void load(const std::string& device) override { engine_.load(c10::Device(device)); }

  void read(size_t index, const base::JsonNode& line, std::string_view raw) override {
    lm::ScoreRequest request;
    const auto prompt = engine_.prompt_tokens(line, raw);
    const auto continuation = engine_.tokens(line, "continuation", "continuation_ids", false);
    request.embeddings = engine_.soft_prompt(line);
    if (!prompt && !request.embeddings.defined())
      line.fail("found no \"prompt\", \"prompt_ids\" or \"soft_prompt\", expected one");
    if (!continuation) line.fail("found no \"continuation\" or \"continuation_ids\", expected one");
    if (prompt) request.prompt = *prompt;
    request.continuation = *continuation;
    const auto soft = request.embeddings.defined() ? request.embeddings.size(0) : 0;
    const auto before = static_cast<int64_t>(request.prompt.size()) + soft;
    if (before == 0) line.fail("found an empty prompt, expected at least one token");
    if (request.continuation.empty())
      line.fail("found an empty continuation, expected at least one token");
    const auto tokens = before + static_cast<int64_t>(request.continuation.size());
    const int64_t context = engine_.config().max_position_embeddings;
    if (tokens > context + 1)
      line.fail(base::str("found ", tokens, " tokens, the model's context holds ", context));
    requests_[index] = std::move(request);
  }

  void run(const std::vector<size_t>& indices, Results& results) override {
    size_t place = 0;
    const auto batch = static_cast<size_t>(engine_.options().batch);
    for (size_t first = 0; first < indices.size(); first += batch) {
      std::vector<lm::ScoreRequest> requests;
      for (size_t i = first; i < std::min(first + batch, indices.size()); ++i)
        requests.push_back(std::move(requests_[indices[i]]));
      const lm::ScoreOptions options{.top = top_};
      const auto& seq2seq = engine_.seq2seq();
      for (const auto& score : seq2seq.here() ? lm::score(seq2seq.model(), requests, options)
                                              : lm::score(engine_.model(), requests, options))
        results.done(place++, {output(score)});
    }
  }

 private:
  Json output(const lm::Score& score) const {
    Json out = {{"logprobs", shortest_numbers(score.logprobs)}};
    if (top_ > 0) out["top"] = top_json(score.top);
    return out;
  }

  Engine engine_;
  int64_t top_;
  std::vector<lm::ScoreRequest> requests_;
};

}  // namespace

std::unique_ptr<LineTool> make_score(const EngineOptions& options, int64_t top) {
  return std::make_unique<ScoreTool>(options, top);
}

}  // namespace preimage::tools
