// OuroborosModel: a bidirectional transformer encoder with an energy at each position of the
// program. Pre-norm blocks, rotary positions on interleaved pairs (2i, 2i + 1), exact GELU.
// Parameters are named and laid out as published; sequences are packed, so that padding cannot be
// seen, which the original got wrong.
#pragma once

#include <vector>

#include "arms/energy_model.hpp"
#include "preimage/lm/train/data_parallel.hpp"
#include "preimage/nn/layers.hpp"

namespace preimage::verifier {

struct OuroborosConfig {
  int64_t vocab_size = 50257;
  int64_t hidden_size = 512;  // divisible by 2 heads and by 32
  int64_t layers = 12;
  int64_t heads = 8;
  bool bounded = true;  // sigmoid at each position
  int64_t head_dim() const { return hidden_size / heads; }
};

lm::TensorList ouroboros_tensors(const OuroborosConfig& config);
int64_t parameter_count(const OuroborosConfig& config);
// Matrices and embedding normal(0, 0.02), biases 0, norms 1; keyed by (seed, name, element).
lm::Parameters initial_ouroboros(const OuroborosConfig& config, uint64_t seed, at::Device device);

class Ouroboros : public EnergyModel {
 public:
  Ouroboros(const OuroborosConfig& config, const lm::TensorSource& source);
  at::Tensor energies(const Sequences& sequences, const DropoutSource& dropout) const override;
  // Final normed hidden states [tokens, d].
  at::Tensor hidden(const Sequences& sequences, const DropoutSource& dropout) const;

 private:
  struct Block {
    at::Tensor attention_norm, attention_norm_bias, mlp_norm, mlp_norm_bias;  // [d]
    nn::Weight qkv;     // [3 d, d], queries and keys reordered for nn::rotary
    nn::Weight output;  // [d, d]
    nn::Weight up;      // [4 d, d]
    nn::Weight down;    // [d, 4 d]
  };
  nn::RotaryTable rotary_table(int64_t positions, at::Device device) const;

  OuroborosConfig config_;
  at::Tensor embedding_;  // [V, d]
  std::vector<Block> blocks_;
  at::Tensor norm_, norm_bias_;
  EnergyHead head_;
};

// Rows [heads * head_dim, d] reordered so that the pair (2i, 2i + 1) of each head becomes (i, i +
// head_dim / 2): nn::rotary then turns interleaved pairs. Scores are the same, because queries and
// keys are reordered alike. Saves nothing for its gradient, so that one model serves all shards of
// a step.
at::Tensor half_split(const at::Tensor& rows, int64_t heads);

}  // namespace preimage::verifier
