#include "decoder.hpp"

#include <ATen/ATen.h>

#include "families.hpp"

namespace preimage::lm {
namespace {

// Positions whose rotary angles are made at first; doubled when a longer sequence comes.
constexpr int64_t kFirstPositions = 1024;

}  // namespace

Decoder::Decoder(const ModelConfig& config, const WeightSource& source) : config_(config) {
  const auto& c = config_;
  embedding_ = source.tensor("model.embed_tokens.weight", {c.vocab_size, c.hidden_size});
  layers_ = family_of(c).layers(c, source);
  for (const auto& layer : layers_) heads_.push_back(layer.attention->heads());
  norm_ = source.tensor("model.norm.weight", {c.hidden_size});
  head_ = c.tied_embeddings ? nn::Weight(embedding_)
                            : source.matrix("lm_head.weight", c.vocab_size, c.hidden_size);
}

nn::RotaryTable Decoder::rotary_table(int64_t positions) const {
  const std::scoped_lock lock(rotary_mutex_);
  if (!rotary_.cos.defined() || rotary_.cos.size(0) < positions) {
    int64_t size = kFirstPositions;
    while (size < positions) size *= 2;
    const int64_t rotary_dim = config_.latent ? config_.latent->rotary_dim : config_.head_dim;
    const auto frequencies = rope_frequencies(config_.rope, rotary_dim);
    const auto inv_freq = at::tensor(frequencies.inv_freq, at::kFloat);
    const auto angle = at::arange(size, at::kFloat).unsqueeze(1) * inv_freq.unsqueeze(0);
    rotary_ = {(angle.cos() * frequencies.attention_scaling).to(device()),
               (angle.sin() * frequencies.attention_scaling).to(device())};
  }
  return rotary_;
}

at::Tensor Decoder::embed(const at::Tensor& ids) const {
  return at::embedding(embedding_, ids);
}

at::Tensor Decoder::normed(const at::Tensor& x, const at::Tensor& weight) const {
  const auto norm = config_.wide_norm_weight ? nn::wide_rms_norm : nn::rms_norm;
  return norm(x, weight, config_.rms_norm_eps);
}

at::Tensor Decoder::hidden(const at::Tensor& embeddings,
                           const nn::AttentionContext& context) const {
  const auto table = rotary_table(context.position_limit());
  const Pass pass{context, table};
  at::Tensor x = embeddings;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const DecoderLayer& layer = layers_[i];
    x = x + layer.attention->forward(normed(x, layer.input_norm), static_cast<int64_t>(i), pass);
    x = x + layer.feed_forward->forward(normed(x, layer.post_norm));
  }
  return normed(x, norm_);
}

}  // namespace preimage::lm
