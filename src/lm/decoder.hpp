// The common decoder block (Vaswani et al. 2017 with RMSNorm, rotary positions, grouped heads,
// SwiGLU).
#pragma once

#include <mutex>
#include <vector>

#include "preimage/lm/model.hpp"
#include "preimage/nn/layers.hpp"

namespace preimage::lm {

TensorList decoder_tensors(const ModelConfig& config);

class Decoder : public Model {
 public:
  Decoder(const ModelConfig& config, const TensorSource& source);

  const ModelConfig& config() const override { return config_; }
  at::ScalarType dtype() const override { return embedding_.scalar_type(); }
  at::Device device() const override { return embedding_.device(); }
  at::Tensor embed(const at::Tensor& ids) const override;
  at::Tensor hidden(const at::Tensor& x, const nn::AttentionContext& context) const override;
  const std::vector<nn::HeadLayout>& attention_layers() const override { return heads_; }
  bool capturable() const override { return true; }
  const nn::Weight& head() const override { return head_; }
  const at::Tensor& embedding_table() const override { return embedding_; }

 private:
  struct Layer {
    at::Tensor input_norm, post_norm;  // [d]
    nn::Weight qkv;      // [(query_heads + 2 kv_heads) * head_dim, d], with the family's bias
    nn::Weight output;   // [d, query_heads * head_dim]
    nn::Weight gate_up;  // [2 * inner, d], gate first
    nn::Weight down;     // [d, inner]
  };

  nn::RotaryTable rotary_table(int64_t positions) const;

  ModelConfig config_;
  std::vector<nn::HeadLayout> heads_;  // of each layer
  at::Tensor embedding_;               // [V, d]
  std::vector<Layer> layers_;
  at::Tensor norm_;
  nn::Weight head_;
  mutable std::mutex rotary_mutex_;
  mutable nn::RotaryTable rotary_;  // grows
};

}  // namespace preimage::lm
