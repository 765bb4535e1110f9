#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "lm/folder.hpp"
#include "preimage/lm/checkpoint.hpp"

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
  EXPECT_THAT(rope({{"type", "dynamic"}, {"factor", 2.0}}),
              AllOf(HasSubstr("dynamic"), HasSubstr("yarn")));
  EXPECT_THAT(rope({{"type", "linear"}}), HasSubstr("factor"));
  EXPECT_THAT(rope({{"type", "linear"}, {"factor", 0.5}}), HasSubstr("0.5"));
  EXPECT_THAT(rope({{"type", "linear"}, {"factor", "4"}}), HasSubstr("factor"));
  EXPECT_THAT(rope({{"type", "linear"}, {"rope_type", "yarn"}, {"factor", 2}}),
              HasSubstr("disagree"));
  EXPECT_THAT(rope({{"type", "llama3"}, {"factor", 8}}), HasSubstr("low_freq_factor"));
  EXPECT_THAT(
      rope({{"type", "llama3"}, {"factor", 8}, {"low_freq_factor", 4}, {"high_freq_factor", 4}}),
      HasSubstr("must be above"));
  EXPECT_THAT(rope({{"type", "yarn"}, {"factor", 4}, {"beta_fast", 1}, {"beta_slow", 2}}),
              HasSubstr("beta_fast"));
  EXPECT_THAT(rope({{"type", "yarn"}, {"factor", 4}, {"attention_factor", 0}}),
              HasSubstr("attention_factor"));
  EXPECT_THAT(rope({{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 0}}),
              HasSubstr("original_max"));
  EXPECT_THAT(rope({{"full_attention", {{"rope_type", "yarn"}}}}), HasSubstr("layer type"));
  EXPECT_THAT(rope({{"partial_rotary_factor", 0.5}}), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(rope("yarn"), HasSubstr("rope_scaling"));
  EXPECT_THAT(refusal({{"rope_theta", 1.0}}), HasSubstr("rope_theta"));
  EXPECT_THAT(refusal({{"rope_parameters", {{"rope_theta", 1e4}}}}), HasSubstr("disagree"));
  EXPECT_THAT(refusal({{"rope_parameters", {{"rope_type", "yarn"}}},
                       {"rope_scaling", {{"type", "linear"}}}}),
              HasSubstr("both"));
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
      {{{"num_hidden_layers", nullptr}}, "num_hidden_layers"},
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
      {{{"vocab_size", 100}}, "eos_token_id: found 151643, allowed are 0 to 99"},
      {{{"max_position_embeddings", 0}}, "max_position_embeddings"},
      {{{"rms_norm_eps", 0}}, "rms_norm_eps"},
      {{{"rms_norm_eps", -1e-6}}, "rms_norm_eps"},
      {{{"rms_norm_eps", "1e-6"}}, "rms_norm_eps"},
      {{{"hidden_act", "gelu"}}, "gelu"},
      {{{"tie_word_embeddings", "no"}}, "tie_word_embeddings"},
      {{{"use_sliding_window", true}, {"max_window_layers", 20}}, "sliding"},
      {{{"layer_types", {"full_attention", "sliding_attention"}}}, "layer_types[1]"},
      {{{"quantization_config", {{"quant_method", "gptq"}}}}, "gptq"},
      {{{"eos_token_id", {1, "x"}}}, "eos_token_id[1]"},
      {{{"bos_token_id", -2}}, "bos_token_id"},
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

TEST(ModelConfig, AllErrorsAtOnceOneLineEach) {
  const std::string text =
      refusal({{"hidden_size", 0}, {"num_hidden_layers", 0}, {"rms_norm_eps", 7}},
              R"({"eos_token_id": -5})");
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
