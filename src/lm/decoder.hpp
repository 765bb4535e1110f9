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
  at::Tensor hidden(const at::Tensor& x, const nn::Packing& packing) const override;
  at::Tensor hidden(const at::Tensor& x, const nn::Packing& packing, KvCache& cache,
                    const nn::CachePlaces& places) const override;
  KvCache make_cache(int64_t rows, int64_t capacity) const override;
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
  template <class Attend>
  at::Tensor blocks(at::Tensor x, const nn::RotaryTable& table, const at::Tensor& positions,
                    const Attend& attend) const;

  ModelConfig config_;
  nn::HeadLayout heads_;
  at::Tensor embedding_;  // [V, d]
  std::vector<Layer> layers_;
  at::Tensor norm_;
  nn::Weight head_;
  mutable std::mutex rotary_mutex_;
  mutable nn::RotaryTable rotary_;  // grows
};

}  // namespace preimage::lm
