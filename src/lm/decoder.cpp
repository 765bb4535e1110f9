#include "decoder.hpp"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>

#include "families/families.hpp"
#include "preimage/base/error.hpp"

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

Decoder::Decoder(const Decoder& base, const Changes& changes)
    : config_(base.config_),
      embedding_(base.embedding_),
      heads_(base.heads_),
      norm_(base.norm_),
      head_(base.head_) {
  for (const auto& layer : base.layers_) {
    layers_.push_back({layer.input_norm, layer.post_norm, layer.attention->changed(changes),
                       layer.feed_forward->changed(changes)});
  }
}

nn::RotaryTable Decoder::rotary_table(int64_t positions) const {
  const std::scoped_lock lock(rotary_mutex_);
  if (!rotary_.cos.defined() || rotary_.cos.size(0) < positions) {
    int64_t size = kFirstPositions;
    while (size < positions) size *= 2;
    const auto frequencies = rope_frequencies(config_.rope, config_.rotary_dim());
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

bool Decoder::capturable() const {
  return std::all_of(layers_.begin(), layers_.end(),
                     [&](const auto& layer) { return layer.feed_forward->capturable(dtype()); });
}

at::Tensor Decoder::normed(const at::Tensor& x, const at::Tensor& weight) const {
  const auto norm = config_.wide_norm_weight ? nn::wide_rms_norm : nn::rms_norm;
  return norm(x, weight, config_.rms_norm_eps);
}

at::Tensor Decoder::hidden(const at::Tensor& embeddings,
                           const nn::AttentionContext& context) const {
  return final_norm(through_layers(embeddings, context, {0, config_.layers}));
}

at::Tensor Decoder::through_layers(const at::Tensor& states, const nn::AttentionContext& context,
                                   LayerRange range) const {
  const auto table = rotary_table(context.position_limit());
  const LayerPass pass{context, table};
  const nn::NormOptions norm{config_.rms_norm_eps, config_.wide_norm_weight};
  if (range.begin == range.end) return states;
  // Each branch is added together with the norm of the next.
  at::Tensor x = states;
  at::Tensor normed_x = normed(x, layers_[static_cast<size_t>(range.begin)].input_norm);
  for (int64_t i = range.begin; i < range.end; ++i) {
    const DecoderLayer& layer = layers_[static_cast<size_t>(i)];
    const auto attended =
        nn::add_rms_norm(x, layer.attention->forward(normed_x, i, pass), layer.post_norm, norm);
    const auto fed = layer.feed_forward->forward(attended.normed);
    if (i + 1 == range.end) return attended.sum + fed;
    auto next =
        nn::add_rms_norm(attended.sum, fed, layers_[static_cast<size_t>(i + 1)].input_norm, norm);
    x = std::move(next.sum), normed_x = std::move(next.normed);
  }
  return x;
}

namespace {

const Decoder& decoder_of(const Model& model) {
  const auto* decoder = dynamic_cast<const Decoder*>(&model);
  base::check(decoder != nullptr, "a range of layers is asked of a decoder");
  return *decoder;
}

}  // namespace

at::Tensor through_layers(const Model& model, const at::Tensor& x,
                          const nn::AttentionContext& context, LayerRange range) {
  base::check(range.begin >= 0 && range.begin <= range.end && range.end <= model.config().layers,
              "the model has the layers that are asked for");
  return decoder_of(model).through_layers(x, context, range);
}

at::Tensor final_norm(const Model& model, const at::Tensor& x) {
  return decoder_of(model).final_norm(x);
}

}  // namespace preimage::lm
