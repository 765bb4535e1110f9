#include "families/defaults.hpp"

#include <map>
#include <string>

namespace preimage::lm {
namespace {

using base::Json;

std::map<std::string, Json, std::less<>> all_defaults() {
  std::map<std::string, Json, std::less<>> all;
  all["llama"] = Json::parse(R"({"vocab_size": 32000, "hidden_size": 4096,
    "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": null, "hidden_act": "silu", "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-6, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": null,
    "tie_word_embeddings": false, "rope_parameters": null, "attention_bias": false,
    "mlp_bias": false, "head_dim": null})");
  all["qwen2"] = Json::parse(R"({"vocab_size": 151936, "hidden_size": 4096,
    "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "hidden_act": "silu", "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6, "tie_word_embeddings": false, "rope_parameters": null,
    "use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 28,
    "layer_types": null, "bos_token_id": null, "eos_token_id": null, "pad_token_id": null})");
  all["qwen3"] = all["qwen2"];
  all["qwen3"].update(Json::parse(R"({"head_dim": 128, "attention_bias": false})"));
  all["gpt_oss"] = Json::parse(R"({"num_hidden_layers": 36, "num_local_experts": 128,
    "vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880, "head_dim": 64,
    "num_attention_heads": 64, "num_key_value_heads": 8, "sliding_window": 128,
    "tie_word_embeddings": false, "hidden_act": "silu", "max_position_embeddings": 131072,
    "rms_norm_eps": 1e-5, "rope_parameters": null, "num_experts_per_tok": 4,
    "swiglu_alpha": 1.702, "swiglu_limit": 7.0, "layer_types": null, "bos_token_id": null,
    "eos_token_id": null, "pad_token_id": null, "attention_bias": true})");
  all["deepseek_v3"] = Json::parse(R"({"vocab_size": 129280, "hidden_size": 7168,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61,
    "num_attention_heads": 128, "num_key_value_heads": 128, "n_shared_experts": 1,
    "n_routed_experts": 256, "routed_scaling_factor": 2.5, "kv_lora_rank": 512,
    "q_lora_rank": 1536, "qk_rope_head_dim": 64, "v_head_dim": 128, "qk_nope_head_dim": 128,
    "n_group": 8, "topk_group": 4, "num_experts_per_tok": 8, "first_k_dense_replace": 3,
    "norm_topk_prob": true, "hidden_act": "silu", "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-6, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": null,
    "tie_word_embeddings": false, "rope_parameters": null, "rope_interleave": true,
    "attention_bias": false, "num_mtp_layers": 1})");
  // Its own code is DeepSeek-V3's.
  all["kimi_k2"] = all["deepseek_v3"];
  all["bert"] = Json::parse(R"({"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12,
    "num_attention_heads": 12, "intermediate_size": 3072, "hidden_act": "gelu",
    "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
    "is_decoder": false, "add_cross_attention": false})");
  all["modernbert"] = Json::parse(R"({"vocab_size": 50368, "hidden_size": 768,
    "intermediate_size": 1152, "num_hidden_layers": 22, "num_attention_heads": 12,
    "hidden_activation": "gelu", "max_position_embeddings": 8192, "norm_eps": 1e-5,
    "norm_bias": false, "attention_bias": false, "layer_types": null, "rope_parameters": null,
    "local_attention": 128, "mlp_bias": false})");
  all["t5"] = Json::parse(R"({"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048,
    "num_layers": 6, "num_decoder_layers": null, "num_heads": 8,
    "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
    "layer_norm_epsilon": 1e-6, "feed_forward_proj": "relu", "pad_token_id": 0, "eos_token_id": 1,
    "tie_word_embeddings": true})");
  return all;
}

const std::vector<std::string_view> kDecoder = {
    "attention_dropout",       "initializer_range", "is_decoder",     "layer_types",
    "position_embedding_type", "pretraining_tp",    "sliding_window", "use_mrope"};
const std::vector<std::string_view> kExperts = {"output_router_logits", "router_aux_loss_coef"};

}  // namespace

const Json& config_defaults(std::string_view model_type) {
  static const auto all = all_defaults();
  static const Json none = Json::object();
  const auto it = all.find(model_type);
  return it == all.end() ? none : it->second;
}

std::vector<std::string_view> idle_family_keys(std::string_view model_type) {
  std::vector<std::string_view> keys;
  const auto add = [&](const std::vector<std::string_view>& more) {
    keys.insert(keys.end(), more.begin(), more.end());
  };
  const bool encoder = model_type == "bert" || model_type == "t5" || model_type == "modernbert";
  // No rotary embedding, or one with keys of its own.
  if (encoder) add({"original_max_position_embeddings", "partial_rotary_factor", "rope_theta"});
  if (encoder && model_type != "modernbert") add({"rope_scaling"});
  if (model_type == "bert") {
    add({"attention_probs_dropout_prob", "classifier_dropout", "directionality",
         "hidden_dropout_prob", "initializer_range", "output_past", "pooler_fc_size",
         "pooler_num_attention_heads", "pooler_num_fc_layers", "pooler_size_per_head",
         "pooler_type", "tie_word_embeddings", "use_mrope"});
  } else if (model_type == "modernbert") {
    add({"attention_dropout",
         "causal_mask",
         "classifier_activation",
         "classifier_bias",
         "classifier_dropout",
         "classifier_pooling",
         "cls_token_id",
         "decoder_bias",
         "deterministic_flash_attn",
         "embedding_dropout",
         "initializer_cutoff_factor",
         "initializer_range",
         "mlp_dropout",
         "reference_compile",
         "repad_logits_with_grad",
         "is_decoder",
         "sparse_pred_ignore_index",
         "sparse_prediction",
         "tie_word_embeddings",
         "use_mrope"});
  } else if (model_type == "t5") {
    add({"classifier_dropout", "dropout_rate", "initializer_factor", "is_causal", "n_positions",
         "per_layer_config", "position_embedding_type", "use_bidirectional_attention",
         "use_mrope"});
  } else {
    add(kDecoder);
  }
  if (model_type == "qwen2" || model_type == "llama") add({"rope_ratio"});
  if (model_type == "gpt_oss") {
    add(kExperts);
    // transformers reads num_experts_per_tok alone, and the lengths of rope_parameters.
    add({"experts_per_token", "initial_context_length"});
  }
  if (model_type == "deepseek_v3" || model_type == "kimi_k2") {
    add(kExperts);
    add({"aux_loss_alpha", "ep_size", "num_key_value_heads", "qk_head_dim", "seq_aux"});
  }
  return keys;
}

}  // namespace preimage::lm
