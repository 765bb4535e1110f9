#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "lm/fixture.hpp"
#include "preimage/base/json.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

// Qwen2.5-7B as published (the older spelling of the rope keys), without scaling.
Json qwen7b() {
  return Json::parse(R"({
    "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643,
    "eos_token_id": 151643, "hidden_act": "silu", "hidden_size": 3584, "initializer_range": 0.02,
    "intermediate_size": 18944, "max_position_embeddings": 131072, "max_window_layers": 28,
    "model_type": "qwen2", "num_attention_heads": 28, "num_hidden_layers": 28,
    "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 131072, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
    "transformers_version": "4.40.1", "use_cache": true, "use_mrope": false,
    "use_sliding_window": false, "vocab_size": 152064})");
}

ModelConfig read(const Json& config, const std::string& generation = "") {
  const Folder folder;
  folder.put("config.json", config.dump());
  if (!generation.empty()) folder.put("generation_config.json", generation);
  return read_model_config(folder.path());
}

// The error for the 7B's config with some keys changed (null: removed).
std::string refusal(const Json& changes, const std::string& generation = "") {
  Json config = qwen7b();
  config.merge_patch(changes);
  return data_error_of([&] { read(config, generation); });
}

TEST(ModelConfig, PublishedQwen) {
  const auto config = read(qwen7b());
  EXPECT_EQ(config.family, "qwen2");
  EXPECT_EQ(config.head_dim, 128);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.tied_embeddings);
  EXPECT_EQ(config.rope.type, "default");
  EXPECT_EQ(config.rope.theta, 1e6);
  EXPECT_EQ(config.stored_dtype, "bfloat16");
  EXPECT_THAT(config.eos_ids, ElementsAre(151643));
  EXPECT_EQ(config.bos_id, 151643);
  EXPECT_EQ(config.pad_id, -1);
}

// The published parameter counts.
TEST(ModelConfig, Parameters) {
  const auto count = [](const Json& changes) {
    Json config = qwen7b();
    config.merge_patch(changes);
    return read(config).parameters();
  };
  EXPECT_EQ(count(Json::object()), 7'615'616'512);
  EXPECT_EQ(count({{"hidden_size", 896},
                   {"intermediate_size", 4864},
                   {"num_hidden_layers", 24},
                   {"num_attention_heads", 14},
                   {"num_key_value_heads", 2},
                   {"vocab_size", 151936},
                   {"tie_word_embeddings", true}}),
            494'032'768);
  EXPECT_EQ(count({{"hidden_size", 5120},
                   {"intermediate_size", 13824},
                   {"num_hidden_layers", 48},
                   {"num_attention_heads", 40},
                   {"num_key_value_heads", 8}}),
            14'770'033'664);
}

TEST(ModelConfig, FixturesOfTransformers) {
  const auto tied = read_model_config(fixture("qwen2_tied"));
  EXPECT_TRUE(tied.tied_embeddings);
  EXPECT_EQ(tied.head_dim, 8);
  EXPECT_EQ(tied.rope.theta, 10000);             // inside rope_parameters
  EXPECT_THAT(tied.eos_ids, ElementsAre(2, 3));  // generation_config.json wins
  EXPECT_EQ(tied.pad_id, 0);
  const auto untied = read_model_config(fixture("qwen2_untied"));
  EXPECT_EQ(untied.stored_dtype, "bfloat16");
  EXPECT_EQ(untied.rms_norm_eps, 1e-5);
  EXPECT_EQ(untied.parameters(), 44176);  // total_parameters of its index
  const auto rope = read_model_config(fixture("qwen2_rope"));
  EXPECT_EQ(rope.head_dim, 16);
  EXPECT_EQ(rope.rope.type, "yarn");
  EXPECT_EQ(rope.rope.factor, 4);
  EXPECT_EQ(rope.rope.beta_fast, 4);
  EXPECT_EQ(rope.rope.beta_slow, 0.5);
  EXPECT_EQ(rope.rope.original_max_position_embeddings, 64);
}

TEST(ModelConfig, ThreeSpellingsOfRope) {
  const Json settings = {{"factor", 4.0}, {"original_max_position_embeddings", 32768}};
  const auto with = [&](const std::string& holder, const Json& more, const Json& top) {
    Json config = qwen7b();
    config.erase("rope_theta");
    config.update(top);
    config[holder] = settings;
    config[holder].update(more);
    return read(config).rope;
  };
  for (const auto& rope :
       {with("rope_scaling", {{"type", "yarn"}}, {{"rope_theta", 5e5}}),
        with("rope_scaling", {{"rope_type", "yarn"}, {"type", "yarn"}}, {{"rope_theta", 5e5}}),
        with("rope_parameters", {{"rope_type", "yarn"}, {"rope_theta", 5e5}}, Json::object())}) {
    EXPECT_EQ(rope.type, "yarn");
    EXPECT_EQ(rope.theta, 5e5);
    EXPECT_EQ(rope.factor, 4);
    EXPECT_EQ(rope.beta_fast, 32);
    EXPECT_TRUE(rope.truncate);
    EXPECT_EQ(rope.original_max_position_embeddings, 32768);
  }
  Json config = qwen7b();
  config["rope_scaling"] = nullptr;
  EXPECT_EQ(read(config).rope.type, "default");
  config["rope_scaling"] = {{"type", "yarn"}, {"original_max_position_embeddings", 32768}};
  EXPECT_EQ(read(config).rope.factor, 4);  // the ratio of the contexts
}

TEST(ModelConfig, WrongRope) {
  const auto rope = [](const Json& settings) { return refusal({{"rope_scaling", settings}}); };
  EXPECT_THAT(rope({{"type", "su"}, {"factor", 2.0}}), AllOf(HasSubstr("su"), HasSubstr("yarn")));
  EXPECT_THAT(rope({{"type", "linear"}}), HasSubstr("factor"));
  EXPECT_THAT(rope({{"type", "linear"}, {"factor", "4"}}), HasSubstr("factor"));
  EXPECT_THAT(rope({{"type", "llama3"}, {"factor", 8}}), HasSubstr("low_freq_factor"));
  EXPECT_THAT(
      rope({{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}),
      HasSubstr("must be above"));
  EXPECT_THAT(rope({{"type", "yarn"}, {"factor", 4}, {"attention_factor", 0}}),
              HasSubstr("attention_factor"));
  EXPECT_THAT(rope({{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 0}}),
              HasSubstr("original_max"));
  EXPECT_THAT(rope({{"full_attention", {{"rope_type", "yarn"}}}}), HasSubstr("layer type"));
  EXPECT_THAT(rope({{"type", "linear"}, {"factor", 2}, {"partial_rotary_factor", 0.5}}),
              HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(rope("yarn"), HasSubstr("rope_scaling"));
  EXPECT_THAT(refusal({{"rope_theta", 1.0}}), HasSubstr("rope_theta"));
}

struct BadValue {
  Json change;
  const char* message;
};

TEST(ModelConfig, AbsurdSizesNameKeyAndRule) {
  const Json big = 1'000'000'000;
  const std::vector<BadValue> cases = {
      {{{"num_hidden_layers", 0}}, "num_hidden_layers: found 0, allowed are 1 to 1000"},
      {{{"num_hidden_layers", big}}, "num_hidden_layers: found 1000000000"},
      {{{"num_hidden_layers", 28.0}}, "num_hidden_layers: found the number 28.0"},
      {{{"hidden_size", -1}}, "hidden_size: found -1"},
      {{{"hidden_size", big}}, "hidden_size"},
      {{{"hidden_size", 3585}}, "multiple of num_attention_heads 28"},
      {{{"hidden_size", "3584"}}, "hidden_size"},
      {{{"intermediate_size", 0}}, "intermediate_size"},
      {{{"num_attention_heads", 0}}, "num_attention_heads"},
      {{{"num_key_value_heads", 5}}, "must be a multiple of num_key_value_heads 5"},
      {{{"num_key_value_heads", 0}}, "num_key_value_heads"},
      {{{"head_dim", 0}}, "head_dim"},
      {{{"head_dim", 127}}, "even"},
      {{{"vocab_size", 0}}, "vocab_size"},
      {{{"vocab_size", big}}, "vocab_size"},
      {{{"max_position_embeddings", 0}}, "max_position_embeddings"},
      {{{"rms_norm_eps", 0}}, "rms_norm_eps"},
      {{{"rms_norm_eps", -1e-6}}, "rms_norm_eps"},
      {{{"rms_norm_eps", "1e-6"}}, "rms_norm_eps"},
      {{{"hidden_act", "gelu"}}, "gelu"},
      {{{"tie_word_embeddings", "no"}}, "tie_word_embeddings"},
      {{{"use_sliding_window", true}, {"sliding_window", 0}}, "sliding_window: found 0"},
      {{{"layer_types", {"full_attention", "sliding_attention"}}}, "has 2 entries, expected one"},
      {{{"num_hidden_layers", 1}, {"layer_types", {"sliding_attention"}}}, "no sliding_window"},
      {{{"num_hidden_layers", 1}, {"layer_types", {"chunked_attention"}}}, "chunked_attention"},
      {{{"quantization_config", {{"quant_method", "gptq"}}}}, "gptq"},
      {{{"eos_token_id", {1, "x"}}}, "eos_token_id[1]"},
      {{{"bos_token_id", "x"}}, "bos_token_id"},
      {{{"hidden_size", 1 << 20},
        {"intermediate_size", 1 << 24},
        {"num_attention_heads", 4096},
        {"num_key_value_heads", 4096}},
       "parameters"},
      {{{"model_type", "mamba"}}, "supported are qwen2 (Qwen2ForCausalLM)"},
      {{{"architectures", {"Qwen2ForSequenceClassification"}}}, "Qwen2ForSequenceClassification"},
      {{{"model_type", nullptr}, {"architectures", nullptr}}, "not supported"},
  };
  for (const auto& bad : cases) {
    EXPECT_THAT(refusal(bad.change), AllOf(HasSubstr("config.json: "), HasSubstr(bad.message)));
  }
}

// Sizes as published; the parameter counts are those of the releases.
Json llama31_8b() {
  return Json::parse(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "rms_norm_eps": 1e-5,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "mlp_bias": false,
    "max_position_embeddings": 131072, "rope_theta": 500000.0, "attention_bias": false,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
    "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu"})");
}
Json qwen3_4b() {
  return Json::parse(R"({"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
    "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "rms_norm_eps": 1e-6,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    "max_position_embeddings": 40960, "rope_theta": 1000000, "rope_scaling": null,
    "tie_word_embeddings": true, "use_sliding_window": false, "sliding_window": null,
    "max_window_layers": 36, "attention_bias": false, "hidden_act": "silu"})");
}
Json gpt_oss_20b() {
  Json config = Json::parse(R"({"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss",
    "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 24, "rms_norm_eps": 1e-5,
    "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 201088,
    "num_local_experts": 32, "num_experts_per_tok": 4, "experts_per_token": 4,
    "sliding_window": 128, "attention_bias": true, "swiglu_limit": 7.0, "rope_theta": 150000,
    "initial_context_length": 4096, "max_position_embeddings": 131072, "hidden_act": "silu",
    "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
      "truncate": false, "original_max_position_embeddings": 4096}, "eos_token_id": 200002,
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}})");
  for (int i = 0; i < 24; ++i)
    config["layer_types"].push_back(i % 2 == 0 ? "sliding_attention" : "full_attention");
  return config;
}
Json deepseek_v3() {
  return Json::parse(R"({"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3",
    "auto_map": {"AutoConfig": "configuration_deepseek.DeepseekV3Config"},
    "hidden_size": 7168, "intermediate_size": 18432, "moe_intermediate_size": 2048,
    "num_hidden_layers": 61, "num_attention_heads": 128, "num_key_value_heads": 128,
    "vocab_size": 129280, "rms_norm_eps": 1e-6, "first_k_dense_replace": 3, "moe_layer_freq": 1,
    "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8,
    "topk_group": 4, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": true,
    "routed_scaling_factor": 2.5, "q_lora_rank": 1536, "kv_lora_rank": 512,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "ep_size": 1,
    "num_nextn_predict_layers": 1, "max_position_embeddings": 163840, "rope_theta": 10000,
    "rope_scaling": {"type": "yarn", "factor": 40, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
      "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096},
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
      "weight_block_size": [128, 128]}, "hidden_act": "silu", "tie_word_embeddings": false})");
}

TEST(ModelConfig, PublishedFamilies) {
  const auto llama = read(llama31_8b());
  EXPECT_EQ(llama.parameters(), 8'030'261'248);
  EXPECT_EQ(llama.rope.type, "llama3");
  EXPECT_FALSE(llama.qkv_bias);
  const auto qwen3 = read(qwen3_4b());
  EXPECT_EQ(qwen3.parameters(), 4'022'468'096);
  EXPECT_EQ(qwen3.head_dim, 128);
  const auto gpt_oss = read(gpt_oss_20b());
  EXPECT_EQ(gpt_oss.parameters(), 20'914'757'184);
  EXPECT_EQ(gpt_oss.window(0), 128);
  EXPECT_EQ(gpt_oss.window(1), 0);
  EXPECT_EQ(gpt_oss.stored.format, StoredQuantization::Format::mxfp4);
  const auto deepseek = read(deepseek_v3());
  EXPECT_EQ(deepseek.parameters(), 671'026'419'200);
  EXPECT_EQ(deepseek.head_dim, 192);
  EXPECT_EQ(deepseek.extra_layers, 1);
  EXPECT_EQ(deepseek.stored.block_rows, 128);
  EXPECT_NEAR(std::pow(yarn_softmax_factor(deepseek.rope), 2) / std::sqrt(192.0), 0.135234, 1e-6);
  Json kimi = deepseek_v3();
  kimi.merge_patch({{"model_type", "kimi_k2"},
                    {"vocab_size", 163840},
                    {"first_k_dense_replace", 1},
                    {"num_attention_heads", 64},
                    {"num_key_value_heads", 64},
                    {"n_routed_experts", 384},
                    {"n_group", 1},
                    {"topk_group", 1},
                    {"routed_scaling_factor", 2.827},
                    {"num_nextn_predict_layers", 0}});
  EXPECT_EQ(read(kimi).parameters(), 1'026'408'232'448);
}

TEST(ModelConfig, OriginalGptOss) {
  const auto config = read(Json::parse(R"({"num_hidden_layers": 24, "num_experts": 32,
    "experts_per_token": 4, "vocab_size": 201088, "hidden_size": 2880, "intermediate_size": 2880,
    "swiglu_limit": 7.0, "head_dim": 64, "num_attention_heads": 64, "num_key_value_heads": 8,
    "sliding_window": 128, "initial_context_length": 4096, "rope_theta": 150000,
    "rope_scaling_factor": 32.0, "rope_ntk_alpha": 1, "rope_ntk_beta": 32})"));
  EXPECT_EQ(config.parameters(), 20'914'757'184);
  EXPECT_EQ(config.max_position_embeddings, 131072);
  EXPECT_TRUE(config.original_names);
  EXPECT_FALSE(config.rope.truncate);
}

TEST(ModelConfig, AbsurdExperts) {
  const auto refused = [](Json config, const Json& change) {
    config.merge_patch(change);
    return data_error_of([&] { read(config); });
  };
  const std::vector<BadValue> deepseek = {
      {{{"n_routed_experts", 0}}, "n_routed_experts: found 0"},
      {{{"n_routed_experts", 1'000'000'000}}, "n_routed_experts: found 1000000000"},
      {{{"n_routed_experts", 4096}, {"num_hidden_layers", 1000}}, "the limit is 200000"},
      {{{"moe_intermediate_size", 1 << 24}, {"hidden_size", 1 << 20}}, "the experts make"},
      {{{"n_group", 7}}, "must make 7 groups"},
      {{{"topk_group", 9}}, "topk_group 9"},
      {{{"num_experts_per_tok", 300}}, "num_experts_per_tok 300"},
      {{{"q_lora_rank", 0}}, "q_lora_rank: found 0"},
      {{{"kv_lora_rank", -1}}, "kv_lora_rank"},
      {{{"qk_rope_head_dim", 63}}, "must be even"},
      {{{"scoring_func", "softmax"}}, "softmax"},
      {{{"topk_method", "greedy"}}, "greedy"},
      {{{"moe_layer_freq", 2}}, "moe_layer_freq"},
      {{{"routed_scaling_factor", 0}}, "routed_scaling_factor"},
      {{{"quantization_config", {{"weight_block_size", {128}}}}}, "[rows, columns]"},
      {{{"quantization_config", {{"weight_block_size", {0, 128}}}}}, "weight_block_size[0]"},
      {{{"quantization_config", {{"fmt", "e5m2"}}}}, "e5m2"},
      {{{"quantization_config", {{"quant_method", "compressed-tensors"}}}}, "pack-quantized"},
  };
  for (const auto& bad : deepseek)
    EXPECT_THAT(refused(deepseek_v3(), bad.change), HasSubstr(bad.message));
  EXPECT_THAT(refused(gpt_oss_20b(), {{"num_local_experts", 2}}), HasSubstr("exceed"));
  EXPECT_THAT(refused(gpt_oss_20b(), {{"swiglu_limit", 0}}), HasSubstr("swiglu_limit"));
  EXPECT_THAT(refused(llama31_8b(), {{"quantization_config", {{"quant_method", "mxfp4"}}}}),
              HasSubstr("not supported for llama"));
}

// Whatever stands at whatever key: it is read, or refused by name. Nothing else is thrown.
TEST(ModelConfig, AnyValueOfAnyKeyIsReadOrRefused) {
  const Json values = Json::parse(
      R"([null, true, -1, 0, 1, 3, 1.5, 1e300, 9223372036854775807, "x", [], [1, "x"], {}])");
  const auto expect_no_surprise = [](const Json& config) {
    try {
      read(config);
    } catch (const base::Error& error) {
      EXPECT_EQ(error.code(), base::ExitCode::bad_data) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("config.json"));
    }
  };
  for (const Json& whole : {qwen7b(), llama31_8b(), qwen3_4b(), gpt_oss_20b(), deepseek_v3()}) {
    for (const auto& [key, original] : whole.items()) {
      for (const Json& value : values) {
        Json config = whole;
        config[key] = value;
        expect_no_surprise(config);
        if (!original.is_object()) continue;
        for (const auto& [inner, ignored] : original.items()) {
          config = whole;
          config[key][inner] = value;
          expect_no_surprise(config);
        }
      }
    }
  }
}

// What transformers makes of both files (tests/compat 52 to 55).
TEST(ModelConfig, EndTokensOfOneFileOrTheOther) {
  Json config = qwen7b();
  config["eos_token_id"] = 7;
  EXPECT_THAT(read(config).eos_ids, ElementsAre(7));
  EXPECT_THAT(read(config, "{}").eos_ids, ElementsAre());
  EXPECT_THAT(read(config, R"({"eos_token_id": null})").eos_ids, ElementsAre());
  EXPECT_THAT(read(config, R"({"eos_token_id": [-1, 9.0, 999999]})").eos_ids, ElementsAre(9));
  config["eos_token_id"] = 999999;
  config["pad_token_id"] = -1;
  EXPECT_THAT(read(config).eos_ids, ElementsAre());
  EXPECT_EQ(read(config, R"({"pad_token_id": -1, "bos_token_id": 999999})").pad_id, -1);
  EXPECT_EQ(read(config, R"({"pad_token_id": 5})").pad_id, 5);
}

TEST(ModelConfig, AllErrorsAtOnceOneLineEach) {
  const std::string text =
      refusal({{"hidden_size", 0}, {"num_hidden_layers", 0}, {"rms_norm_eps", 7}},
              R"({"eos_token_id": "x"})");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3) << text;
  EXPECT_THAT(text, HasSubstr("generation_config.json: eos_token_id"));
}

TEST(ModelConfig, FilesThatAreNoConfig) {
  const Folder folder;
  const auto message = [&] { return data_error_of([&] { read_model_config(folder.path()); }); };
  EXPECT_THAT(message(), HasSubstr("no such file"));
  folder.put("config.json", "[]");
  EXPECT_THAT(message(), HasSubstr("expected an object"));
  folder.put("config.json", "{\"hidden_size\": 1,");
  EXPECT_THAT(message(), HasSubstr("config.json:1:"));
  std::string text = qwen7b().dump();
  text.replace(text.find("1e-06"), 5, "NaN");
  folder.put("config.json", text);
  EXPECT_THAT(message(), AllOf(HasSubstr("rms_norm_eps"), HasSubstr("NaN")));
}

TEST(ModelConfig, CodeOfTheCheckpointIsIgnored) {
  Json config = qwen7b();
  config["auto_map"] = {{"AutoModelForCausalLM", "modeling_evil.Evil"}};
  config["trust_remote_code"] = true;
  EXPECT_EQ(read(config).family, "qwen2");
}

}  // namespace
}  // namespace preimage::lm
