// gpt-oss (Agarwal et al. 2025): attention with sinks and alternating windows, mixtures of experts
// with biases and a clamped SwiGLU; its experts plain or MXFP4, in the layout of transformers or in
// that of its own code.
#include <utility>

#include <ATen/ATen.h>

#include "families/common_block.hpp"
#include "families/families.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/nn/moe.hpp"

namespace preimage::lm {
namespace {

// gpt-oss's own code has these in place of keys.
constexpr double kDefaultTheta = 150000, kDefaultEps = 1e-5;

void read_published(ConfigReader& config, ModelConfig& out) {
  read_sizes(config, out);
  read_grouped_heads(config, out);
  out.qkv_bias = out.output_bias = config.boolean("attention_bias", true);
  auto& experts = *out.experts;
  config.integer(config.has("num_experts") ? "num_experts" : "num_local_experts", experts.experts,
                 1, kMaxExperts);
  config.integer("num_experts_per_tok", experts.experts_per_token, 1, kMaxExperts);
  config.optional_number("swiglu_alpha", experts.swiglu_alpha, 1e-3, 1e3);
  int64_t window = 0;
  config.optional_integer("sliding_window", window, 1, kMaxPositions);
  const auto even = [](int64_t layer) { return layer % 2 == 0; };
  read_layer_types(config, window, even, out);
  read_rope(config, out);
  // The config class's own, where nothing at all is said; rope_theta alone says nothing.
  const auto scaling = config.find("rope_scaling");
  if ((!scaling || scaling->json().empty()) && !config.has("rope_parameters")) {
    const double theta = out.rope.theta;
    out.rope = {.type = "yarn",
                .theta = theta,
                .factor = 32,
                .truncate = false,
                .original_max_position_embeddings = 4096};
    if (config.has("original_max_position_embeddings"))
      config.whole_number("original_max_position_embeddings",
                          out.rope.original_max_position_embeddings, 1, kMaxPositions);
  }
  read_quantization(config, true, out);
}

// {"num_experts", "experts_per_token", "initial_context_length", "rope_scaling_factor",
// "rope_ntk_alpha", "rope_ntk_beta", ...}: always MXFP4.
void read_original(ConfigReader& config, ModelConfig& out) {
  out.original_names = true;
  config.integer("hidden_size", out.hidden_size, 1, kMaxHidden);
  config.integer("intermediate_size", out.intermediate_size, 1, kMaxIntermediate);
  config.integer("num_hidden_layers", out.layers, 1, kMaxLayers);
  config.integer("num_attention_heads", out.query_heads, 1, kMaxHeads);
  config.integer("vocab_size", out.vocab_size, 1, kMaxVocab);
  read_grouped_heads(config, out);
  out.rms_norm_eps = kDefaultEps;
  out.qkv_bias = out.output_bias = true;
  auto& experts = *out.experts;
  config.integer("num_experts", experts.experts, 1, kMaxExperts);
  config.integer("experts_per_token", experts.experts_per_token, 1, kMaxExperts);
  auto& rope = out.rope;
  rope.type = "yarn";
  rope.truncate = false;
  config.integer("initial_context_length", rope.original_max_position_embeddings, 1, kMaxPositions);
  config.number("rope_theta", rope.theta, 1.0001, 1e12);
  config.number("rope_scaling_factor", rope.factor, 1, 1e6);
  config.number("rope_ntk_alpha", rope.beta_slow, 1e-6, 1e6);
  config.number("rope_ntk_beta", rope.beta_fast, 1e-6, 1e6);
  out.max_position_embeddings = static_cast<int64_t>(
      static_cast<double>(rope.original_max_position_embeddings) * rope.factor);
  int64_t window = 0;
  config.integer("sliding_window", window, 1, kMaxPositions);
  for (int64_t i = 0; i < out.layers; ++i) out.windows.push_back(i % 2 == 0 ? window : 0);
  out.stored = {StoredQuantization::Format::mxfp4, 1, 32};
}

std::string experts_name(int64_t layer, const char* tensor) {
  return layer_name(layer, std::string("mlp.experts.") + tensor);
}

class GptOssExperts : public FeedForward {
 public:
  GptOssExperts(const ModelConfig& c, int64_t layer, const WeightSource& source)
      : options_(*c.experts) {
    const int64_t d = c.hidden_size, inner = options_.intermediate_size, count = options_.experts;
    router_ = nn::stacked({source.matrix(layer_name(layer, "mlp.router.weight"), count, d)},
                          source.tensor(layer_name(layer, "mlp.router.bias"), {count}));
    // Stored row by row in turn, gate first: here all rows of the gate come first.
    const auto rows = at::arange(2 * inner).view({inner, 2}).t().flatten();
    const auto bias = source.tensor(experts_name(layer, "gate_up_proj_bias"), {count, 2 * inner});
    const auto down_bias = source.tensor(experts_name(layer, "down_proj_bias"), {count, d});
    const auto gate_up =
        source.expert_matrices(experts_name(layer, "gate_up_proj"), {count, d, 2 * inner}, rows);
    const auto down =
        source.expert_matrices(experts_name(layer, "down_proj"), {count, inner, d}, {});
    std::vector<nn::Weight> first, second;
    for (int64_t e = 0; e < count; ++e) {
      const auto i = static_cast<size_t>(e);
      first.push_back(nn::stacked({gate_up[i]}, bias[e].index_select(0, rows.to(bias.device()))));
      second.push_back(nn::stacked({down[i]}, down_bias[e]));
    }
    const double limit = options_.swiglu_limit, alpha = options_.swiglu_alpha;
    experts_ = nn::ExpertLayers(std::move(first), std::move(second), [=](const at::Tensor& both) {
      return nn::clamped_swiglu(both, limit, alpha);
    });
  }

  at::Tensor forward(const at::Tensor& x) const override {
    const auto routing = nn::route_softmax(nn::linear(x, router_), options_.experts_per_token);
    return nn::mixture(x, routing, experts_);
  }
  bool capturable(at::ScalarType dtype) const override { return experts_.on_device(dtype); }

  std::shared_ptr<const FeedForward> changed(const Changes&) const override {
    return std::make_shared<GptOssExperts>(*this);
  }
  std::vector<const Projection*> projections() const override { return {}; }

 private:
  ExpertsConfig options_;
  nn::Weight router_;         // [experts, d]
  nn::ExpertLayers experts_;  // each [2 * inner, d], gate first, and [d, inner]
};

}  // namespace

bool is_original_gpt_oss(const base::JsonNode& config) {
  return config.find("experts_per_token") && config.find("rope_ntk_alpha");
}

void read_gpt_oss(ConfigReader& config, ModelConfig& out) {
  out.experts.emplace();
  out.wide_norm_weight = out.sinks = out.mlp_bias = true;
  out.rope.theta = kDefaultTheta;
  if (is_original_gpt_oss(config.node())) {
    read_original(config, out);
  } else {
    read_published(config, out);
  }
  config.optional_number("swiglu_limit", out.experts->swiglu_limit, 1e-3, 1e6);
  out.experts->intermediate_size = out.intermediate_size;
  check_experts(config, out);
}

TensorList gpt_oss_tensors(const ModelConfig& c) {
  const int64_t d = c.hidden_size, inner = c.experts->intermediate_size, count = c.experts->experts;
  return with_embeddings(c, [&](int64_t layer, TensorList& list) {
    const auto add = [&](const std::string& name, std::vector<int64_t> shape) {
      list.emplace_back(layer_name(layer, name), std::move(shape));
    };
    add("input_layernorm.weight", {d});
    add_grouped_attention(c, layer, list);
    add("self_attn.sinks", {c.query_heads});
    add("post_attention_layernorm.weight", {d});
    add("mlp.router.weight", {count, d});
    add("mlp.router.bias", {count});
    add("mlp.experts.gate_up_proj", {count, d, 2 * inner});
    add("mlp.experts.gate_up_proj_bias", {count, 2 * inner});
    add("mlp.experts.down_proj", {count, inner, d});
    add("mlp.experts.down_proj_bias", {count, d});
  });
}

std::vector<DecoderLayer> gpt_oss_layers(const ModelConfig& c, const WeightSource& source) {
  std::vector<DecoderLayer> layers;
  for (int64_t i = 0; i < c.layers; ++i) {
    auto sinks = source.wide_tensor(layer_name(i, "self_attn.sinks"), {c.query_heads});
    layers.push_back(
        {.input_norm = source.tensor(layer_name(i, "input_layernorm.weight"), {c.hidden_size}),
         .post_norm =
             source.tensor(layer_name(i, "post_attention_layernorm.weight"), {c.hidden_size}),
         .attention = grouped_attention(c, i, source, std::move(sinks)),
         .feed_forward = std::make_shared<GptOssExperts>(c, i, source)});
  }
  return layers;
}

StoredPlace original_gpt_oss_place(const ModelConfig& c, const std::string& name) {
  static const std::pair<const char*, const char*> kOuter[] = {
      {"model.embed_tokens.weight", "embedding.weight"},
      {"lm_head.weight", "unembedding.weight"},
      {"model.norm.weight", "norm.scale"}};
  static const std::pair<const char*, const char*> kInner[] = {
      {"self_attn.sinks", "attn.sinks"},
      {"self_attn.o_proj.", "attn.out."},
      {"input_layernorm.weight", "attn.norm.scale"},
      {"post_attention_layernorm.weight", "mlp.norm.scale"},
      {"mlp.router.", "mlp.gate."},
      {"mlp.experts.gate_up_proj_bias", "mlp.mlp1_bias"},
      {"mlp.experts.gate_up_proj_", "mlp.mlp1_weight."},
      {"mlp.experts.down_proj_bias", "mlp.mlp2_bias"},
      {"mlp.experts.down_proj_", "mlp.mlp2_weight."}};
  for (const auto& [published, original] : kOuter) {
    if (name == published) return {original};
  }
  const std::string start = "model.layers.";
  base::check(name.starts_with(start), "tensor " + name + " belongs to a layer");
  const size_t dot = name.find('.', start.size());
  const std::string block = "block." + name.substr(start.size(), dot - start.size()) + ".";
  const std::string rest = name.substr(dot + 1);
  for (const auto& [published, original] : kInner) {
    if (rest.starts_with(published))
      return {block + original + rest.substr(std::string_view(published).size())};
  }
  const int64_t q = c.query_heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const std::pair<const char*, int64_t> projections[] = {
      {"self_attn.q_proj.", 0}, {"self_attn.k_proj.", q}, {"self_attn.v_proj.", q + kv}};
  for (const auto& [published, first] : projections) {
    if (rest.starts_with(published))
      return {block + "attn.qkv." + rest.substr(std::string_view(published).size()), first,
              q + 2 * kv};
  }
  base::check(false, "tensor " + name + " has a place in the original layout");
  return {};
}

}  // namespace preimage::lm
