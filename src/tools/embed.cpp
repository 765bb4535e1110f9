#include <ATen/ATen.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/encoder/text_embedder.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using base::Json;

class Embed : public LineTool {
 public:
  Embed(const EngineOptions& options, std::string pooling)
      : engine_(options, lm::Use::embed), pooling_(std::move(pooling)) {}

  std::string name() const override { return "embed"; }
  std::vector<std::string> input_fields() const override {
    return {"text", "ids", "prompt", "prompt_name"};
  }
  std::vector<std::string> output_fields() const override { return {"embedding"}; }
  std::vector<std::string> notes() const override { return embedder_->notes(); }

  void prepare(size_t lines) override {
    engine_.prepare();
    const auto& folder = engine_.options().model;
    if (!lm::is_encoder_folder(engine_.folder()) && engine_.seq2seq().here())
      throw base::config_error(
          folder.string() +
          ": vec2text turns embeddings into text; embed with the folder of its "
          "embedder");
    embedder_.emplace(folder, pooling_);
    lines_.resize(lines);
  }

  std::vector<std::string> warnings() const override { return engine_.warnings(); }

  void load(const std::string& device) override {
    embedder_->load(engine_.load_options(c10::Device(device)));
  }

  void read(size_t index, const base::JsonNode& line, std::string_view) override {
    auto tokens = tokens_of(line);
    if (tokens.ids.empty()) line.fail("found an empty text, expected at least one token");
    const int64_t context = engine_.config().max_position_embeddings;
    const auto count = static_cast<int64_t>(tokens.ids.size());
    if (context > 0 && count > context) {
      line.fail(base::str("found ", count, " tokens, the model's context holds ", context));
    }
    lines_[index] = std::move(tokens);
  }

  void run(const std::vector<size_t>& indices, Results& results) override;

 private:
  // A text before a pipeline or an encoder is a sentence: special tokens around it; before a
  // pipeline its prompt in front, and cut.
  lm::SentenceTokens tokens_of(const base::JsonNode& line) const {
    const auto text = line.find("text");
    const auto& pipeline = embedder_->pipeline();
    for (const char* name : {"prompt", "prompt_name"}) {
      if (const auto found = line.find(name); found && (!pipeline || !text))
        found->fail("stands before the \"text\" of a pipeline, and there is none");
    }
    if (pipeline && text && !line.find("ids") && engine_.has_tokenizer()) {
      auto tokens = embedder_->tokens(engine_.tokenizer(), prompt_of(line), text->string());
      tokens.ids = engine_.known(*text, std::move(tokens.ids));
      return tokens;
    }
    const bool special = embedder_->encodes() || pipeline || engine_.options().add_special;
    auto ids = engine_.tokens(line, "text", "ids", special);
    if (!ids) line.fail("found no \"text\" or \"ids\", expected one");
    return {std::move(*ids), 0};
  }
  // The line's own prompt, or that of a name, or the pipeline's default.
  std::string prompt_of(const base::JsonNode& line) const {
    const auto prompt = line.find("prompt"), name = line.find("prompt_name");
    if (prompt) return prompt->string();
    if (name) return embedder_->pipeline()->prompt(*name);
    return embedder_->pipeline()->text().default_prompt;
  }

  Engine engine_;
  std::string pooling_;
  std::optional<lm::TextEmbedder> embedder_;
  std::vector<lm::SentenceTokens> lines_;
};

void Embed::run(const std::vector<size_t>& indices, Results& results) {
  constexpr size_t kBatchTokens = 8192;
  for (size_t first = 0; first < indices.size();) {
    std::vector<lm::SentenceTokens> texts;
    size_t next = first, tokens = 0;
    do {
      texts.push_back(std::move(lines_[indices[next++]]));
      tokens += texts.back().ids.size();
    } while (next < indices.size() &&
             static_cast<int64_t>(texts.size()) < engine_.options().batch &&
             tokens + lines_[indices[next]].ids.size() <= kBatchTokens);
    const auto vectors = embedder_->embed(texts);
    for (size_t i = 0; i < texts.size(); ++i) {
      const float* row =
          vectors.const_data_ptr<float>() + static_cast<int64_t>(i) * vectors.size(1);
      results.done(
          first + i,
          {{{"embedding", shortest_numbers(std::vector<float>(row, row + vectors.size(1)))}}});
    }
    first = next;
  }
}

}  // namespace

std::unique_ptr<LineTool> make_embed(const EngineOptions& options, const std::string& pooling) {
  return std::make_unique<Embed>(options, pooling);
}

}  // namespace preimage::tools
