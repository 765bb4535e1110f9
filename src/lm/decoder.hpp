// The pre-norm decoder that all families share: x += attention(norm(x)); x +=
// feed_forward(norm(x)). What an attention and a feed-forward part are, each family says.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "preimage/lm/layer_range.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/nn/layers.hpp"
#include "projection.hpp"

namespace preimage::lm {

// What the layers of one forward pass have in common.
struct LayerPass {
  const nn::AttentionContext& context;
  const nn::RotaryTable& table;
};

class SelfAttention {
 public:
  virtual ~SelfAttention() = default;
  virtual const nn::HeadLayout& heads() const = 0;
  // Normed hidden states [tokens, d] -> what is added to the residual stream [tokens, d].
  virtual at::Tensor forward(const at::Tensor& x, int64_t layer, const LayerPass& pass) const = 0;
  // The same part with an adapter's changes; all frozen weights are shared.
  virtual std::shared_ptr<const SelfAttention> changed(const Changes& changes) const = 0;
  virtual std::vector<const Projection*> projections() const = 0;
};

class FeedForward {
 public:
  virtual ~FeedForward() = default;
  // The same, each row on its own.
  virtual at::Tensor forward(const at::Tensor& x) const = 0;
  // As Model::capturable(), for rows of a dtype.
  virtual bool capturable(at::ScalarType) const { return true; }
  // As those of SelfAttention. Routed experts and routers carry no changes.
  virtual std::shared_ptr<const FeedForward> changed(const Changes& changes) const = 0;
  virtual std::vector<const Projection*> projections() const = 0;
};

struct DecoderLayer {
  at::Tensor input_norm, post_norm;  // [d]
  std::shared_ptr<const SelfAttention> attention;
  std::shared_ptr<const FeedForward> feed_forward;
};

class Decoder : public Model {
 public:
  Decoder(const ModelConfig& config, const WeightSource& source);
  // `base` with an adapter's changes beside those that it has.
  Decoder(const Decoder& base, const Changes& changes);

  const ModelConfig& config() const override { return config_; }
  at::ScalarType dtype() const override { return embedding_.scalar_type(); }
  at::Device device() const override { return embedding_.device(); }
  at::Tensor embed(const at::Tensor& ids) const override;
  at::Tensor hidden(const at::Tensor& x, const nn::AttentionContext& context) const override;
  at::Tensor through_layers(const at::Tensor& x, const nn::AttentionContext& context,
                            LayerRange range) const;
  at::Tensor final_norm(const at::Tensor& x) const { return normed(x, norm_); }
  const std::vector<nn::HeadLayout>& attention_layers() const override { return heads_; }
  bool capturable() const override;
  const nn::Weight& head() const override { return head_; }
  const at::Tensor& embedding_table() const override { return embedding_; }
  const std::vector<DecoderLayer>& layers() const { return layers_; }

 private:
  nn::RotaryTable rotary_table(int64_t positions) const;
  at::Tensor normed(const at::Tensor& x, const at::Tensor& weight) const;

  ModelConfig config_;
  at::Tensor embedding_;  // [V, d]
  std::vector<DecoderLayer> layers_;
  std::vector<nn::HeadLayout> heads_;  // of each layer
  at::Tensor norm_;
  nn::Weight head_;
  mutable std::mutex rotary_mutex_;
  mutable nn::RotaryTable rotary_;  // grows
};

}  // namespace preimage::lm
