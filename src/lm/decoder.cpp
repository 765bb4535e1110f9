// The common decoder block: Qwen2, and with small differences Qwen3, Llama and deepseek-coder.
#include "decoder.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include "preimage/base/error.hpp"

namespace preimage::lm {
namespace {

using Shape = std::vector<int64_t>;

// Positions whose rotary angles are made at first; doubled when a longer sequence comes.
constexpr int64_t kFirstPositions = 1024;

std::string layer_name(int64_t layer, const char* tensor) {
  return "model.layers." + std::to_string(layer) + "." + tensor;
}

}  // namespace

TensorList decoder_tensors(const ModelConfig& c) {
  const int64_t d = c.hidden_size, q = c.query_heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  TensorList list = {{"model.embed_tokens.weight", {c.vocab_size, d}}};
  for (int64_t i = 0; i < c.layers; ++i) {
    const auto add = [&](const char* name, Shape shape) {
      list.emplace_back(layer_name(i, name), std::move(shape));
    };
    add("input_layernorm.weight", {d});
    add("self_attn.q_proj.weight", {q, d});
    add("self_attn.k_proj.weight", {kv, d});
    add("self_attn.v_proj.weight", {kv, d});
    if (c.qkv_bias) {
      add("self_attn.q_proj.bias", {q});
      add("self_attn.k_proj.bias", {kv});
      add("self_attn.v_proj.bias", {kv});
    }
    add("self_attn.o_proj.weight", {d, q});
    add("post_attention_layernorm.weight", {d});
    add("mlp.gate_proj.weight", {c.intermediate_size, d});
    add("mlp.up_proj.weight", {c.intermediate_size, d});
    add("mlp.down_proj.weight", {d, c.intermediate_size});
  }
  list.emplace_back("model.norm.weight", Shape{d});
  if (!c.tied_embeddings) list.emplace_back("lm_head.weight", Shape{c.vocab_size, d});
  return list;
}

Decoder::Decoder(const ModelConfig& config, const TensorSource& source) : config_(config) {
  const auto& c = config_;
  const int64_t d = c.hidden_size, q = c.query_heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const int64_t inner = c.intermediate_size;
  const double scale = 1 / std::sqrt(static_cast<double>(c.head_dim));
  heads_.assign(static_cast<size_t>(c.layers), {c.query_heads, c.kv_heads, c.head_dim, scale});
  embedding_ = source("model.embed_tokens.weight", {c.vocab_size, d});
  for (int64_t i = 0; i < c.layers; ++i) {
    const auto get = [&](const char* name, at::IntArrayRef shape) {
      return source(layer_name(i, name), shape);
    };
    Layer layer;
    layer.input_norm = get("input_layernorm.weight", {d});
    auto qkv =
        at::cat({get("self_attn.q_proj.weight", {q, d}), get("self_attn.k_proj.weight", {kv, d}),
                 get("self_attn.v_proj.weight", {kv, d})});
    at::Tensor bias;
    if (c.qkv_bias) {
      bias = at::cat({get("self_attn.q_proj.bias", {q}), get("self_attn.k_proj.bias", {kv}),
                      get("self_attn.v_proj.bias", {kv})});
    }
    layer.qkv = nn::Weight(std::move(qkv), std::move(bias));
    layer.output = nn::Weight(get("self_attn.o_proj.weight", {d, q}));
    layer.post_norm = get("post_attention_layernorm.weight", {d});
    layer.gate_up = nn::Weight(
        at::cat({get("mlp.gate_proj.weight", {inner, d}), get("mlp.up_proj.weight", {inner, d})}));
    layer.down = nn::Weight(get("mlp.down_proj.weight", {d, inner}));
    layers_.push_back(std::move(layer));
  }
  norm_ = source("model.norm.weight", {d});
  head_ = nn::Weight(c.tied_embeddings ? embedding_ : source("lm_head.weight", {c.vocab_size, d}));
}

nn::RotaryTable Decoder::rotary_table(int64_t positions) const {
  const std::scoped_lock lock(rotary_mutex_);
  if (!rotary_.cos.defined() || rotary_.cos.size(0) < positions) {
    int64_t size = kFirstPositions;
    while (size < positions) size *= 2;
    const auto frequencies = rope_frequencies(config_.rope, config_.head_dim);
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

at::Tensor Decoder::hidden(const at::Tensor& embeddings,
                           const nn::AttentionContext& context) const {
  const auto table = rotary_table(context.position_limit());
  at::Tensor x = embeddings;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const auto& heads = heads_[i];
    const auto qkv = nn::linear(nn::rms_norm(x, layer.input_norm, config_.rms_norm_eps), layer.qkv);
    const auto turned =
        nn::rotary(qkv, table, context.positions(), heads.query_heads + heads.kv_heads);
    x = x + nn::linear(context.attend(static_cast<int64_t>(i), turned, heads), layer.output);
    const auto gate_up =
        nn::linear(nn::rms_norm(x, layer.post_norm, config_.rms_norm_eps), layer.gate_up);
    x = x + nn::linear(nn::swiglu(gate_up), layer.down);
  }
  return nn::rms_norm(x, norm_, config_.rms_norm_eps);
}

}  // namespace preimage::lm
