// BERT (Devlin et al. 2019): learned positions, blocks with the norm behind each residual sum.
#pragma once

#include <string>
#include <vector>

#include "encoder/encoder_config.hpp"
#include "preimage/lm/encoder/encoder.hpp"
#include "preimage/nn/biased_attention.hpp"
#include "preimage/nn/linear.hpp"

namespace preimage::lm {

// Without the pooler, which sentence embeddings do not use. Names below the optional "bert.".
TensorList bert_tensors(const BertConfig& config);

class Bert : public Encoder {
 public:
  Bert(const BertConfig& config, const TensorSource& source);
  const EncoderConfig& config() const override { return config_; }
  at::ScalarType dtype() const override { return words_.scalar_type(); }
  at::Device device() const override { return words_.device(); }
  at::Tensor embed(const at::Tensor& ids) const override;
  // Every token has token type 0 and its place in the sequence as position.
  at::Tensor hidden(const at::Tensor& x, const nn::Packing& packing) const override;

 private:
  struct Norm {
    at::Tensor weight, bias;
  };
  struct Block {
    nn::Weight qkv, output, up, down;
    Norm attention_norm, output_norm;
  };
  at::Tensor norm(const at::Tensor& x, const Norm& norm) const;

  EncoderConfig config_;
  nn::FullHeads heads_;
  double eps_;
  at::Tensor words_;      // [V, d]
  at::Tensor positions_;  // [positions, d], the row of token type 0 added
  Norm embedding_norm_;
  std::vector<Block> blocks_;
};

}  // namespace preimage::lm
