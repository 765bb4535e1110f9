#include "preimage/lm/encoder/text_embedder.hpp"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "encoder/sentence_tokens.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/supported.hpp"

namespace preimage::lm {

std::string TextEmbedder::usual_pooling(const std::filesystem::path& folder) {
  return SentencePipeline::is_described_in(folder) ? "pipeline" : "mean";
}

TextEmbedder::TextEmbedder(std::filesystem::path folder, const std::string& pooling)
    : folder_(std::move(folder)),
      model_folder_(transformer_folder(folder_)),
      encodes_(is_encoder_folder(model_folder_)) {
  int64_t width = 0;
  if (encodes_) {
    const auto config = read_encoder_config(model_folder_);
    width = config.hidden_size, vocabulary_ = config.vocab_size, context_ = config.max_tokens;
  } else {
    require_supported(model_folder_, Use::embed);
    const auto config = read_model_config(model_folder_);
    width = config.hidden_size, vocabulary_ = config.vocab_size;
    context_ = config.max_position_embeddings;
  }
  if (pooling != "pipeline") {
    bare_ = pooling == "first" ? PoolingMode::first : PoolingMode::mean;
    return;
  }
  if (!SentencePipeline::is_described_in(folder_))
    throw base::config_error(folder_.string() +
                             ": this checkpoint has no modules.json, so no pipeline of its "
                             "own; use --pooling mean or --pooling first");
  pipeline_.emplace(folder_, width, context_);
}

void TextEmbedder::load(const LoadOptions& options) {
  if (pipeline_) pipeline_->load();
  if (encodes_) {
    encoder_ = load_encoder(model_folder_, {.dtype = options.dtype, .device = options.device});
    return;
  }
  auto headless = options;
  headless.head = false;
  decoder_ = load_model(model_folder_, headless);
}

std::vector<std::string> TextEmbedder::notes() const {
  std::vector<std::string> out;
  if (encoder_) out = encoder_->config().notes;
  if (decoder_) out = decoder_->config().notes;
  if (pipeline_) out.insert(out.end(), pipeline_->notes().begin(), pipeline_->notes().end());
  return out;
}

SentenceTokens TextEmbedder::tokens(const text::Tokenizer& tokenizer,
                                    const std::string& text) const {
  if (pipeline_) return tokens(tokenizer, pipeline_->text().default_prompt, text);
  return {tokenizer.encode(text, {.add_special = encodes_}), 0};
}

SentenceTokens TextEmbedder::tokens(const text::Tokenizer& tokenizer, const std::string& prompt,
                                    const std::string& text) const {
  base::check(pipeline_.has_value(), "a prompt stands before the text of a pipeline");
  return pipeline_tokens(tokenizer, prompt, text, pipeline_->text());
}

at::Tensor TextEmbedder::hidden(const at::Tensor& ids, const nn::Packing& packing) const {
  if (encodes_) return encoder_->hidden(encoder_->embed(ids), packing);
  return decoder_->hidden(decoder_->embed(ids), nn::PackedAttention(packing));
}

at::Tensor TextEmbedder::embed(const std::vector<SentenceTokens>& texts) const {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> packed, lengths, skip;
  for (const auto& text : texts) {
    packed.insert(packed.end(), text.ids.begin(), text.ids.end());
    lengths.push_back(static_cast<int64_t>(text.ids.size()));
    skip.push_back(text.skip);
  }
  const auto device = encodes_ ? encoder_->device() : decoder_->device();
  const auto packing = nn::make_packing(lengths, device);
  const auto states = hidden(at::tensor(packed, at::kLong).to(device), packing);
  if (pipeline_) return (*pipeline_)(states, packing, skip);
  return pool(states, packing, bare_).cpu().contiguous();
}

}  // namespace preimage::lm
