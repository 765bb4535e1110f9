// The block of Qwen2, Qwen3, Llama and deepseek-coder (Vaswani et al. 2017 with rotary positions,
// grouped heads, SwiGLU), whose parts other families use too.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "checkpoint/weight_source.hpp"
#include "decoder.hpp"

namespace preimage::lm {

// "model.layers.3." + tensor
std::string layer_name(int64_t layer, const std::string& tensor);

TensorList common_tensors(const ModelConfig& config);
std::vector<DecoderLayer> common_layers(const ModelConfig& config, const WeightSource& source);

// The list of a family's tensors around its layers: `add_layer` appends those of one layer.
TensorList with_embeddings(const ModelConfig& config,
                           const std::function<void(int64_t layer, TensorList& list)>& add_layer);

// Grouped-query attention of a layer: its tensors, and the part of the model. `sinks`
// [query_heads] float32, or undefined.
void add_grouped_attention(const ModelConfig& config, int64_t layer, TensorList& list);
std::shared_ptr<const SelfAttention> grouped_attention(const ModelConfig& config, int64_t layer,
                                                       const WeightSource& source,
                                                       at::Tensor sinks = {});

// A gated MLP under `prefix` ("model.layers.3.mlp.") with `inner` features.
void add_gated_mlp(const ModelConfig& config, const std::string& prefix, int64_t inner,
                   TensorList& list);
std::shared_ptr<const FeedForward> gated_mlp(const ModelConfig& config, const std::string& prefix,
                                             int64_t inner, const WeightSource& source);

}  // namespace preimage::lm
