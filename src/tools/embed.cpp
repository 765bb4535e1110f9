#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "jsonl.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/lm/encoder/sentence_pipeline.hpp"
#include "sentence_tokens.hpp"
#include "tools.hpp"

namespace preimage::tools {
namespace {

using base::Json;

class Embed : public LineTool {
 public:
  Embed(const EngineOptions& options, std::string pooling)
      : engine_(options), pooling_(std::move(pooling)) {}

  std::vector<std::string> input_fields() const override { return {"text", "ids"}; }
  std::vector<std::string> output_fields() const override { return {"embedding"}; }

  void prepare(size_t lines) override {
    engine_.prepare();
    const auto& folder = engine_.options().model;
    encodes_ = lm::is_encoder_folder(folder);
    if (!encodes_ && engine_.seq2seq().here())
      throw base::config_error(
          folder.string() +
          ": vec2text turns embeddings into text; embed with the folder of its "
          "embedder");
    if (pooling_ == "pipeline") {
      if (!lm::SentencePipeline::is_described_in(folder))
        throw base::config_error(folder.string() +
                                 ": this checkpoint has no modules.json, so no pipeline of its "
                                 "own; use --pooling mean or --pooling first");
      if (!encodes_)
        throw base::config_error(folder.string() +
                                 ": pipelines over decoders are not supported; use --pooling mean "
                                 "or --pooling first");
      pipeline_.emplace(folder, engine_.config().hidden_size);
    }
    lines_.resize(lines);
  }

  void load(c10::Device device) override {
    if (!encodes_) return engine_.load(device);
    const auto dtype = engine_.options().dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
    encoder_ = lm::load_encoder(engine_.options().model, {.dtype = dtype, .device = device});
    if (pipeline_) pipeline_->load();
  }

  void read(size_t index, const base::JsonNode& line, std::string_view) override {
    auto ids = tokens(line);
    if (!ids) line.fail("found no \"text\" or \"ids\", expected one");
    if (ids->empty()) line.fail("found an empty text, expected at least one token");
    const int64_t context = engine_.config().max_position_embeddings;
    if (context > 0 && static_cast<int64_t>(ids->size()) > context) {
      line.fail(base::str("found ", ids->size(), " tokens, the model's context holds ", context));
    }
    lines_[index] = std::move(*ids);
  }

  std::vector<Outputs> run(const std::vector<size_t>& indices) override;

 private:
  // A text before an encoder is a sentence: special tokens around it, cut as the pipeline says.
  std::optional<std::vector<int64_t>> tokens(const base::JsonNode& line) const {
    const auto text = line.find("text");
    if (!encodes_ || !text || line.find("ids") || !engine_.has_tokenizer())
      return engine_.tokens(line, "text", "ids", engine_.options().add_special);
    return pipeline_ ? pipeline_tokens(engine_.tokenizer(), text->string(), *pipeline_)
                     : engine_.tokens(line, "text", "ids", /*add_special=*/true);
  }
  at::Tensor hidden(const at::Tensor& ids, const nn::Packing& packing) const;
  at::Tensor embed(const std::vector<size_t>& lines) const;

  Engine engine_;
  std::string pooling_;
  bool encodes_ = false;  // an encoder, not a decoder
  std::optional<lm::SentencePipeline> pipeline_;
  std::shared_ptr<const lm::Encoder> encoder_;
  std::vector<std::vector<int64_t>> lines_;
};

at::Tensor Embed::hidden(const at::Tensor& ids, const nn::Packing& packing) const {
  if (encodes_) return encoder_->hidden(encoder_->embed(ids), packing);
  const auto& model = engine_.model();
  return model.hidden(model.embed(ids), nn::PackedAttention(packing));
}

// [lines, width] float32 on the CPU.
at::Tensor Embed::embed(const std::vector<size_t>& lines) const {
  std::vector<int64_t> ids, lengths;
  for (const size_t line : lines) {
    ids.insert(ids.end(), lines_[line].begin(), lines_[line].end());
    lengths.push_back(static_cast<int64_t>(lines_[line].size()));
  }
  const auto device = encodes_ ? encoder_->device() : engine_.model().device();
  const auto packing = nn::make_packing(lengths, device);
  const auto states = hidden(at::tensor(ids, at::kLong).to(device), packing);
  if (pipeline_) return (*pipeline_)(states, packing);
  const auto mode = pooling_ == "first" ? lm::PoolingMode::first : lm::PoolingMode::mean;
  return lm::pool(states, packing, mode).cpu().contiguous();
}

std::vector<Outputs> Embed::run(const std::vector<size_t>& indices) {
  const at::NoGradGuard no_grad;
  constexpr size_t kBatchTokens = 8192;
  std::vector<Outputs> outputs;
  for (size_t first = 0; first < indices.size();) {
    std::vector<size_t> lines;
    size_t tokens = 0;
    do {
      lines.push_back(indices[first++]);
      tokens += lines_[lines.back()].size();
    } while (first < indices.size() &&
             static_cast<int64_t>(lines.size()) < engine_.options().batch &&
             tokens + lines_[indices[first]].size() <= kBatchTokens);
    const auto vectors = embed(lines);
    for (size_t i = 0; i < lines.size(); ++i) {
      const float* row =
          vectors.const_data_ptr<float>() + static_cast<int64_t>(i) * vectors.size(1);
      outputs.push_back(
          {{{"embedding", shortest_numbers(std::vector<float>(row, row + vectors.size(1)))}}});
    }
  }
  return outputs;
}

}  // namespace

std::unique_ptr<LineTool> make_embed(const EngineOptions& options, const std::string& pooling) {
  return std::make_unique<Embed>(options, pooling);
}

}  // namespace preimage::tools
