#include "families/common_block.hpp"

#include <cmath>
#include <utility>

#include <ATen/ATen.h>

namespace preimage::lm {
namespace {

class GroupedAttention : public SelfAttention {
 public:
  GroupedAttention(const ModelConfig& c, int64_t layer, const WeightSource& source,
                   at::Tensor sinks) {
    const int64_t d = c.hidden_size, q = c.query_heads * c.head_dim, kv = c.kv_heads * c.head_dim;
    const auto name = [&](const char* tensor) {
      return layer_name(layer, std::string("self_attn.") + tensor);
    };
    heads_ = {.query_heads = c.query_heads,
              .kv_heads = c.kv_heads,
              .head_dim = c.head_dim,
              .scale = 1 / std::sqrt(static_cast<double>(c.head_dim)),
              .sliding_window = c.window(layer),
              .sinks = std::move(sinks)};
    qkv_ = Projection(source, {{name("q_proj"), q}, {name("k_proj"), kv}, {name("v_proj"), kv}}, d,
                      c.qkv_bias);
    if (c.qk_norm) {
      norms_ = {source.tensor(name("q_norm.weight"), {c.head_dim}),
                source.tensor(name("k_norm.weight"), {c.head_dim}), c.query_heads, c.kv_heads,
                c.rms_norm_eps};
    }
    output_ = Projection(source, {{name("o_proj"), d}}, q, c.output_bias);
  }

  const nn::HeadLayout& heads() const override { return heads_; }

  at::Tensor forward(const at::Tensor& x, int64_t layer, const LayerPass& pass) const override {
    auto qkv = qkv_(x);
    const auto& positions = pass.context.positions();
    if (norms_.query_weight.defined()) {
      qkv = nn::normed_rotary(std::move(qkv), norms_, pass.table, positions);
    } else {
      qkv = nn::rotary(qkv, pass.table, positions, heads_.query_heads + heads_.kv_heads);
    }
    return output_(pass.context.attend(layer, qkv, heads_));
  }

  std::shared_ptr<const SelfAttention> changed(const Changes& changes) const override {
    auto out = std::make_shared<GroupedAttention>(*this);
    out->qkv_ = qkv_.changed(changes), out->output_ = output_.changed(changes);
    return out;
  }
  std::vector<const Projection*> projections() const override { return {&qkv_, &output_}; }

 private:
  nn::HeadLayout heads_;
  Projection qkv_;       // [(query_heads + 2 kv_heads) * head_dim, d]
  nn::HeadNorms norms_;  // its weights undefined: heads are not normed
  Projection output_;    // [d, query_heads * head_dim]
};

class GatedMlp : public FeedForward {
 public:
  GatedMlp(const ModelConfig& c, const std::string& prefix, int64_t inner,
           const WeightSource& source) {
    const int64_t d = c.hidden_size;
    gate_up_ = Projection(source, {{prefix + "gate_proj", inner}, {prefix + "up_proj", inner}}, d,
                          c.mlp_bias);
    down_ = Projection(source, {{prefix + "down_proj", d}}, inner, c.mlp_bias);
  }

  at::Tensor forward(const at::Tensor& x) const override { return down_(nn::swiglu(gate_up_(x))); }

  std::shared_ptr<const FeedForward> changed(const Changes& changes) const override {
    auto out = std::make_shared<GatedMlp>(*this);
    out->gate_up_ = gate_up_.changed(changes), out->down_ = down_.changed(changes);
    return out;
  }
  std::vector<const Projection*> projections() const override { return {&gate_up_, &down_}; }

 private:
  Projection gate_up_;  // [2 * inner, d], gate first
  Projection down_;     // [d, inner]
};

}  // namespace

std::string layer_name(int64_t layer, const std::string& tensor) {
  return "model.layers." + std::to_string(layer) + "." + tensor;
}

TensorList with_embeddings(const ModelConfig& c,
                           const std::function<void(int64_t, TensorList&)>& add_layer) {
  TensorList list = {{"model.embed_tokens.weight", {c.vocab_size, c.hidden_size}}};
  for (int64_t i = 0; i < c.layers; ++i) add_layer(i, list);
  list.push_back({"model.norm.weight", {c.hidden_size}});
  if (!c.tied_embeddings) list.push_back({"lm_head.weight", {c.vocab_size, c.hidden_size}});
  return list;
}

void add_grouped_attention(const ModelConfig& c, int64_t layer, TensorList& list) {
  const int64_t d = c.hidden_size, q = c.query_heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const auto add = [&](const char* tensor, std::vector<int64_t> shape) {
    list.emplace_back(layer_name(layer, std::string("self_attn.") + tensor), std::move(shape));
  };
  add("q_proj.weight", {q, d});
  add("k_proj.weight", {kv, d});
  add("v_proj.weight", {kv, d});
  if (c.qkv_bias) {
    add("q_proj.bias", {q});
    add("k_proj.bias", {kv});
    add("v_proj.bias", {kv});
  }
  if (c.qk_norm) {
    add("q_norm.weight", {c.head_dim});
    add("k_norm.weight", {c.head_dim});
  }
  add("o_proj.weight", {d, q});
  if (c.output_bias) add("o_proj.bias", {d});
}

std::shared_ptr<const SelfAttention> grouped_attention(const ModelConfig& config, int64_t layer,
                                                       const WeightSource& source,
                                                       at::Tensor sinks) {
  return std::make_shared<GroupedAttention>(config, layer, source, std::move(sinks));
}

void add_gated_mlp(const ModelConfig& c, const std::string& prefix, int64_t inner,
                   TensorList& list) {
  const int64_t d = c.hidden_size;
  const std::pair<const char*, std::vector<int64_t>> matrices[] = {
      {"gate_proj", {inner, d}}, {"up_proj", {inner, d}}, {"down_proj", {d, inner}}};
  for (const auto& [name, shape] : matrices) {
    list.emplace_back(prefix + name + ".weight", shape);
    if (c.mlp_bias) list.push_back({prefix + name + ".bias", {shape[0]}});
  }
}

std::shared_ptr<const FeedForward> gated_mlp(const ModelConfig& config, const std::string& prefix,
                                             int64_t inner, const WeightSource& source) {
  return std::make_shared<GatedMlp>(config, prefix, inner, source);
}

TensorList common_tensors(const ModelConfig& c) {
  return with_embeddings(c, [&](int64_t layer, TensorList& list) {
    list.push_back({layer_name(layer, "input_layernorm.weight"), {c.hidden_size}});
    add_grouped_attention(c, layer, list);
    list.push_back({layer_name(layer, "post_attention_layernorm.weight"), {c.hidden_size}});
    add_gated_mlp(c, layer_name(layer, "mlp."), c.intermediate_size, list);
  });
}

std::vector<DecoderLayer> common_layers(const ModelConfig& c, const WeightSource& source) {
  std::vector<DecoderLayer> layers;
  for (int64_t i = 0; i < c.layers; ++i) {
    layers.push_back(
        {.input_norm = source.tensor(layer_name(i, "input_layernorm.weight"), {c.hidden_size}),
         .post_norm =
             source.tensor(layer_name(i, "post_attention_layernorm.weight"), {c.hidden_size}),
         .attention = grouped_attention(c, i, source),
         .feed_forward = gated_mlp(c, layer_name(i, "mlp."), c.intermediate_size, source)});
  }
  return layers;
}

}  // namespace preimage::lm
