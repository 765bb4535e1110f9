// ModernBERT (Warner et al. 2024): rotary positions, norms before each part, gated MLPs, and layers
// that see a window around each token between those that see all.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/nn/biased_attention.hpp"
#include "preimage/nn/layers.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::lm {

struct ModernBertConfig {
  int64_t hidden_size = 0, intermediate_size = 0, layers = 0, heads = 0;
  int64_t vocab_size = 0, max_positions = 0;
  double norm_eps = 0;
  bool norm_bias = false, attention_bias = false, mlp_bias = false;
  int64_t reach = 0;           // of a window to each side
  std::vector<bool> windowed;  // of each layer
  double theta = 0, local_theta = 0;
  std::vector<std::string> notes;
};
ModernBertConfig read_modernbert_config(const std::filesystem::path& folder);

// Without its heads. Names below the optional "model.".
TensorList modernbert_tensors(const ModernBertConfig& config);

class ModernBert : public Encoder {
 public:
  ModernBert(const ModernBertConfig& config, const TensorSource& source);
  const EncoderConfig& config() const override { return config_; }
  at::ScalarType dtype() const override { return words_.scalar_type(); }
  at::Device device() const override { return words_.device(); }
  at::Tensor embed(const at::Tensor& ids) const override;
  at::Tensor hidden(const at::Tensor& x, const nn::Packing& packing) const override;

 private:
  struct Norm {
    at::Tensor weight, bias;  // bias may be undefined
  };
  struct Block {
    Norm attention_norm, mlp_norm;  // attention_norm undefined in the first block: none
    nn::Weight qkv, output, up, down;
    bool windowed = false;
  };
  at::Tensor norm(const at::Tensor& x, const Norm& norm) const;
  // Each token sees `reach_` tokens to each side, within its sequence.
  nn::KeySpans windows(const nn::Packing& packing) const;
  nn::RotaryTable table(double theta, int64_t positions) const;

  EncoderConfig config_;
  nn::FullHeads heads_;
  double eps_, theta_, local_theta_;
  int64_t reach_, inner_;
  at::Tensor words_;  // [V, d]
  Norm embedding_norm_, final_norm_;
  std::vector<Block> blocks_;
};

}  // namespace preimage::lm
