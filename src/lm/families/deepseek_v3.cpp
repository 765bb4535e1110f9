// DeepSeek-V3, R1 and Kimi K2: multi-head latent attention and fine-grained experts with grouped
// sigmoid routing (DeepSeek-AI 2024, "DeepSeek-V3", section 2.1).
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include "families/common_block.hpp"
#include "families/families.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/moe.hpp"

namespace preimage::lm {
namespace {

using base::str;

// Of the norms over the two latents, whatever rms_norm_eps is.
constexpr double kLatentEps = 1e-6;

void read_latent(ConfigReader& config, ModelConfig& out) {
  auto& latent = out.latent.emplace();
  config.optional_integer("q_lora_rank", latent.query_rank, 1, kMaxHidden);
  config.integer("kv_lora_rank", latent.kv_rank, 1, kMaxHidden);
  config.integer("qk_nope_head_dim", latent.plain_dim, 1, kMaxHeadDim);
  config.integer("qk_rope_head_dim", latent.rotary_dim, 2, kMaxHeadDim);
  config.integer("v_head_dim", latent.value_dim, 1, kMaxHeadDim);
  if (latent.rotary_dim % 2 != 0) {
    config.refuse(str("qk_rope_head_dim ", latent.rotary_dim,
                      " must be even: the rotary embedding halves it"));
  }
  // transformers takes the rotary dimension from head_dim where the file has that.
  int64_t rotary = latent.rotary_dim;
  config.optional_integer("head_dim", rotary, 1, kMaxHeadDim);
  if (rotary != latent.rotary_dim) {
    config.refuse(str("head_dim ", rotary, " is not qk_rope_head_dim ", latent.rotary_dim,
                      "; rotating another part of a head is not supported"));
  }
  latent.interleaved = config.boolean("rope_interleave", true);
  out.kv_heads = out.query_heads;  // num_key_value_heads means nothing here
  out.head_dim = latent.plain_dim + latent.rotary_dim;
}

void read_routing(ConfigReader& config, ModelConfig& out) {
  auto& e = out.experts.emplace();
  config.integer("n_routed_experts", e.experts, 1, kMaxExperts);
  config.integer("num_experts_per_tok", e.experts_per_token, 1, kMaxExperts);
  config.integer("moe_intermediate_size", e.intermediate_size, 1, kMaxIntermediate);
  config.optional_integer("n_shared_experts", e.shared_experts, 0, kMaxExperts);
  config.optional_integer("first_k_dense_replace", e.first_dense_layers, 0, kMaxLayers);
  config.optional_integer("n_group", e.groups, 1, kMaxExperts);
  config.optional_integer("topk_group", e.top_groups, 1, kMaxExperts);
  e.normalize = config.boolean("norm_topk_prob", true);
  config.optional_number("routed_scaling_factor", e.scale, 1e-6, 1e6);
  config.require_text("scoring_func", "sigmoid");
  config.require_text("topk_method", "noaux_tc");
  check_experts(config, out);
  int64_t every = 1;
  config.optional_integer("moe_layer_freq", every, 1, 1);
  if (e.experts % e.groups != 0 || (e.groups > 1 && e.experts / e.groups < 2)) {
    config.refuse(str("n_routed_experts ", e.experts, " must make ", e.groups,
                      " groups (n_group) of equal size, two experts or more each"));
    return;
  }
  if (e.top_groups > e.groups || e.experts_per_token > e.top_groups * (e.experts / e.groups)) {
    config.refuse(str("num_experts_per_tok ", e.experts_per_token, " cannot be met by topk_group ",
                      e.top_groups, " of n_group ", e.groups, " groups of ", e.experts / e.groups,
                      " experts"));
  }
}

std::string attention_name(int64_t layer, const char* tensor) {
  return layer_name(layer, std::string("self_attn.") + tensor);
}

std::string expert_prefix(int64_t layer, int64_t expert) {
  return layer_name(layer, str("mlp.experts.", expert, "."));
}

// Keys and values are made whole before they are attended to, and kept so: query_heads times
// (plain_dim + rotary_dim + value_dim) numbers a token, not kv_rank + rotary_dim.
class LatentAttention : public SelfAttention {
 public:
  LatentAttention(const ModelConfig& c, int64_t layer, const WeightSource& source)
      : sizes_(*c.latent) {
    const int64_t d = c.hidden_size, n = c.query_heads;
    const double m = yarn_softmax_factor(c.rope);
    heads_ = {.query_heads = n,
              .kv_heads = n,
              .head_dim = c.head_dim,
              .scale = m * m / std::sqrt(static_cast<double>(c.head_dim)),
              .value_dim = sizes_.value_dim};
    const auto weight = [&](const char* module, int64_t out, int64_t in, bool bias) {
      return Projection(source, {{attention_name(layer, module), out}}, in, bias);
    };
    if (sizes_.query_rank > 0) {
      to_query_latent_ = weight("q_a_proj", sizes_.query_rank, d, c.qkv_bias);
      query_norm_ =
          source.tensor(attention_name(layer, "q_a_layernorm.weight"), {sizes_.query_rank});
      to_queries_ = weight("q_b_proj", n * c.head_dim, sizes_.query_rank, false);
    } else {
      to_queries_ = weight("q_proj", n * c.head_dim, d, false);
    }
    to_latent_ = weight("kv_a_proj_with_mqa", sizes_.kv_rank + sizes_.rotary_dim, d, c.qkv_bias);
    latent_norm_ = source.tensor(attention_name(layer, "kv_a_layernorm.weight"), {sizes_.kv_rank});
    from_latent_ =
        weight("kv_b_proj", n * (sizes_.plain_dim + sizes_.value_dim), sizes_.kv_rank, false);
    output_ = weight("o_proj", d, n * sizes_.value_dim, c.output_bias);
  }

  const nn::HeadLayout& heads() const override { return heads_; }

  at::Tensor forward(const at::Tensor& x, int64_t layer, const LayerPass& pass) const override {
    const int64_t tokens = x.size(0), n = heads_.query_heads;
    const auto queries = to_queries_(query_input(x)).view({tokens, n, -1});
    const auto latent = to_latent_(x);
    const auto normed =
        nn::rms_norm(latent.narrow(1, 0, sizes_.kv_rank).contiguous(), latent_norm_, kLatentEps);
    const auto key_values = from_latent_(normed).view({tokens, n, -1});
    // All rotary parts at once: those of the queries, then the one key that all heads share.
    const auto parts =
        halves(at::cat({queries.narrow(2, sizes_.plain_dim, sizes_.rotary_dim),
                        latent.narrow(1, sizes_.kv_rank, sizes_.rotary_dim).unsqueeze(1)},
                       1));
    const auto turned = nn::rotary(parts.flatten(1), pass.table, pass.context.positions(), n + 1)
                            .view({tokens, n + 1, sizes_.rotary_dim});
    const auto q = at::cat({queries.narrow(2, 0, sizes_.plain_dim), turned.narrow(1, 0, n)}, 2);
    const auto k = at::cat({key_values.narrow(2, 0, sizes_.plain_dim),
                            turned.narrow(1, n, 1).expand({tokens, n, sizes_.rotary_dim})},
                           2);
    const auto v = key_values.narrow(2, sizes_.plain_dim, sizes_.value_dim);
    const auto qkv = at::cat({q.flatten(1), k.flatten(1), v.flatten(1)}, 1);
    return output_(pass.context.attend(layer, qkv, heads_));
  }

  std::shared_ptr<const SelfAttention> changed(const Changes& changes) const override {
    auto out = std::make_shared<LatentAttention>(*this);
    for (auto* projection : {&out->to_query_latent_, &out->to_queries_, &out->to_latent_,
                             &out->from_latent_, &out->output_})
      *projection = projection->changed(changes);
    return out;
  }
  std::vector<const Projection*> projections() const override {
    return {&to_query_latent_, &to_queries_, &to_latent_, &from_latent_, &output_};
  }

 private:
  at::Tensor query_input(const at::Tensor& x) const {
    if (sizes_.query_rank == 0) return x;
    return nn::rms_norm(to_query_latent_(x), query_norm_, kLatentEps);
  }
  // Pairs of neighbours (2j, 2j + 1) as pairs of halves (j, j + rotary_dim / 2). Queries and keys
  // are permuted alike, so their products stay.
  at::Tensor halves(const at::Tensor& x) const {
    return sizes_.interleaved ? x.unflatten(2, {-1, 2}).transpose(2, 3).flatten(2) : x;
  }

  LatentAttentionConfig sizes_;
  nn::HeadLayout heads_;
  Projection to_query_latent_, to_queries_, to_latent_, from_latent_, output_;
  at::Tensor query_norm_, latent_norm_;
};

class GroupedExperts : public FeedForward {
 public:
  GroupedExperts(const ModelConfig& c, int64_t layer, const WeightSource& source)
      : routing_{.k = c.experts->experts_per_token,
                 .groups = c.experts->groups,
                 .top_groups = c.experts->top_groups,
                 .normalize = c.experts->normalize,
                 .scale = c.experts->scale} {
    const auto& e = *c.experts;
    // Chosen in float32: near ties would flip otherwise.
    router_ = nn::Weight(
        source.wide_tensor(layer_name(layer, "mlp.gate.weight"), {e.experts, c.hidden_size}));
    correction_ =
        source.wide_tensor(layer_name(layer, "mlp.gate.e_score_correction_bias"), {e.experts});
    const int64_t d = c.hidden_size, inner = e.intermediate_size;
    std::vector<nn::Weight> gate_up, down;
    for (int64_t i = 0; i < e.experts; ++i) {
      const auto prefix = expert_prefix(layer, i);
      gate_up.push_back(nn::stacked({source.matrix(prefix + "gate_proj.weight", inner, d),
                                     source.matrix(prefix + "up_proj.weight", inner, d)}));
      down.push_back(source.matrix(prefix + "down_proj.weight", d, inner));
    }
    experts_ = nn::ExpertLayers(std::move(gate_up), std::move(down), nn::swiglu);
    if (e.shared_experts > 0) {
      shared_ = gated_mlp(c, layer_name(layer, "mlp.shared_experts."),
                          e.shared_experts * e.intermediate_size, source);
    }
  }

  at::Tensor forward(const at::Tensor& x) const override {
    const auto logits = nn::linear(x.to(at::kFloat), router_);
    const auto routing = nn::route_grouped_sigmoid(logits, correction_, routing_);
    const auto routed = nn::mixture(x, routing, experts_);
    return shared_ ? routed + shared_->forward(x) : routed;
  }
  bool capturable(at::ScalarType dtype) const override { return experts_.on_device(dtype); }

  std::shared_ptr<const FeedForward> changed(const Changes& changes) const override {
    auto out = std::make_shared<GroupedExperts>(*this);
    if (shared_) out->shared_ = shared_->changed(changes);
    return out;
  }
  std::vector<const Projection*> projections() const override {
    return shared_ ? shared_->projections() : std::vector<const Projection*>();
  }

 private:
  nn::GroupedRouting routing_;
  nn::Weight router_;         // [experts, d] float32
  at::Tensor correction_;     // [experts] float32
  nn::ExpertLayers experts_;  // each [2 * inner, d], gate first, and [d, inner]
  std::shared_ptr<const FeedForward> shared_;
};

void add_latent_attention(const ModelConfig& c, int64_t layer, TensorList& list) {
  const auto& l = *c.latent;
  const int64_t d = c.hidden_size, n = c.query_heads;
  const auto add = [&](const char* tensor, std::vector<int64_t> shape) {
    list.emplace_back(attention_name(layer, tensor), std::move(shape));
  };
  if (l.query_rank > 0) {
    add("q_a_proj.weight", {l.query_rank, d});
    if (c.qkv_bias) add("q_a_proj.bias", {l.query_rank});
    add("q_a_layernorm.weight", {l.query_rank});
    add("q_b_proj.weight", {n * c.head_dim, l.query_rank});
  } else {
    add("q_proj.weight", {n * c.head_dim, d});
  }
  add("kv_a_proj_with_mqa.weight", {l.kv_rank + l.rotary_dim, d});
  if (c.qkv_bias) add("kv_a_proj_with_mqa.bias", {l.kv_rank + l.rotary_dim});
  add("kv_a_layernorm.weight", {l.kv_rank});
  add("kv_b_proj.weight", {n * (l.plain_dim + l.value_dim), l.kv_rank});
  add("o_proj.weight", {d, n * l.value_dim});
  if (c.output_bias) add("o_proj.bias", {d});
}

}  // namespace

void read_deepseek_v3(ConfigReader& config, ModelConfig& out) {
  read_sizes(config, out);
  read_latent(config, out);
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", false);
  read_routing(config, out);
  config.optional_integer("num_mtp_layers", out.extra_layers, 0, kMaxLayers);
  config.optional_integer("num_nextn_predict_layers", out.extra_layers, 0, kMaxLayers);
  read_rope(config, out);
  read_quantization(config, false, out);
}

TensorList deepseek_v3_tensors(const ModelConfig& c) {
  const auto& e = *c.experts;
  return with_embeddings(c, [&](int64_t layer, TensorList& list) {
    list.push_back({layer_name(layer, "input_layernorm.weight"), {c.hidden_size}});
    add_latent_attention(c, layer, list);
    list.push_back({layer_name(layer, "post_attention_layernorm.weight"), {c.hidden_size}});
    if (!c.sparse(layer)) {
      add_gated_mlp(c, layer_name(layer, "mlp."), c.intermediate_size, list);
      return;
    }
    list.push_back({layer_name(layer, "mlp.gate.weight"), {e.experts, c.hidden_size}});
    list.push_back({layer_name(layer, "mlp.gate.e_score_correction_bias"), {e.experts}});
    for (int64_t i = 0; i < e.experts; ++i)
      add_gated_mlp(c, expert_prefix(layer, i), e.intermediate_size, list);
    if (e.shared_experts > 0) {
      add_gated_mlp(c, layer_name(layer, "mlp.shared_experts."),
                    e.shared_experts * e.intermediate_size, list);
    }
  });
}

std::vector<DecoderLayer> deepseek_v3_layers(const ModelConfig& c, const WeightSource& source) {
  std::vector<DecoderLayer> layers;
  for (int64_t i = 0; i < c.layers; ++i) {
    DecoderLayer layer{
        .input_norm = source.tensor(layer_name(i, "input_layernorm.weight"), {c.hidden_size}),
        .post_norm =
            source.tensor(layer_name(i, "post_attention_layernorm.weight"), {c.hidden_size}),
        .attention = std::make_shared<LatentAttention>(c, i, source),
        .feed_forward = {}};
    if (c.sparse(i)) {
      layer.feed_forward = std::make_shared<GroupedExperts>(c, i, source);
    } else {
      layer.feed_forward = gated_mlp(c, layer_name(i, "mlp."), c.intermediate_size, source);
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace preimage::lm
