// config.json of a decoder made into sizes. Each family reads its own keys in its own file
// (src/lm/family_*.cpp); src/lm/families/families.cpp lists them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace preimage::lm {

struct RopeConfig {
  std::string type = "default";  // default | linear | llama3 | yarn | dynamic | longrope
  double theta = 10000;
  double factor = 1;
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  double beta_fast = 32, beta_slow = 1;              // yarn
  double attention_factor = 0;                       // yarn, longrope; 0: not given
  double mscale = 0, mscale_all_dim = 0;             // yarn; 0: not given
  bool truncate = true;                              // yarn
  int64_t original_max_position_embeddings = 0;
  // dynamic: base and factor^-1 grow with the longest sequence beyond the trained one; longrope:
  // `wavelengths` multiply those of the default, short ones up to the original length.
  int64_t longest = 0, trained = 0;  // of dynamic
  std::vector<double> wavelengths;   // of longrope, one for each frequency
};

// Mixture-of-experts layers: all but the first `first_dense_layers`.
struct ExpertsConfig {
  int64_t experts = 0, experts_per_token = 0;
  int64_t intermediate_size = 0;  // of one expert
  int64_t shared_experts = 0;     // one gated MLP of shared_experts * intermediate_size
  int64_t first_dense_layers = 0;
  int64_t groups = 1, top_groups = 1;             // of the experts; a token stays in top_groups
  bool normalize = true;                          // weights of a token's experts sum to `scale`
  double scale = 1;                               // routed_scaling_factor
  double swiglu_limit = 7, swiglu_alpha = 1.702;  // gpt-oss
};

// Multi-head latent attention (DeepSeek-AI 2024, DeepSeek-V2, section 2.1).
struct LatentAttentionConfig {
  int64_t query_rank = 0;  // 0: queries are projected at once
  int64_t kv_rank = 0;
  int64_t plain_dim = 0, rotary_dim = 0;  // of a query and a key; the rotary key is shared
  int64_t value_dim = 0;
  bool interleaved = true;  // rotary pairs are neighbours, not halves
};

// How the checkpoint keeps its matrices; embeddings, norms and routers are plain always.
struct StoredQuantization {
  enum class Format { plain, mxfp4, fp8_blocks, int4_groups };
  Format format = Format::plain;
  int64_t block_rows = 1, block_columns = 1;  // that share a scale
};

// Sizes of a pre-norm decoder with rotary positions.
struct ModelConfig {
  std::string family;  // its model_type: "qwen2"
  int64_t hidden_size = 0, intermediate_size = 0, layers = 0;
  int64_t query_heads = 0, kv_heads = 0, head_dim = 0;  // head_dim: of queries and keys
  int64_t vocab_size = 0, max_position_embeddings = 0;
  double rms_norm_eps = 0;
  bool tied_embeddings = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;           // an RMSNorm over each query's and each key's head
  bool wide_norm_weight = false;  // a norm's weight multiplies before the rounding, not after
  bool sinks = false;             // a logit of each head that has no value
  std::vector<int64_t> windows;   // of each layer, 0: none; empty: no layer has one
  std::optional<ExpertsConfig> experts;
  std::optional<LatentAttentionConfig> latent;
  RopeConfig rope;
  StoredQuantization stored;
  bool original_names = false;  // gpt-oss as its own code stores it
  int64_t extra_layers = 0;     // multi-token-prediction layers, permitted and ignored
  // What ends a generation: the ids of generation_config.json where there is one (it may name
  // none), else of config.json.
  std::vector<int64_t> eos_ids;
  int64_t bos_id = -1, pad_id = -1;  // -1: none
  std::string stored_dtype;  // "bfloat16", "float32": as config.json says; the tensors decide
  int64_t context = 0;       // the longest sequence, as the caller named it; 0: not named
  // What was read otherwise than a user may think, or not at all: a line each, for the user.
  std::vector<std::string> notes;

  int64_t window(int64_t layer) const {
    return windows.empty() ? 0 : windows[static_cast<size_t>(layer)];
  }
  bool sparse(int64_t layer) const { return experts && layer >= experts->first_dense_layers; }
  // Dimensions of a head (or of its rotary part) that the rotary embedding turns.
  int64_t rotary_dim() const { return latent ? latent->rotary_dim : head_dim; }
  int64_t parameters() const;         // tied matrices counted once
  int64_t active_parameters() const;  // of one token: the experts that it meets
};

// Reads config.json (and generation_config.json where present). A key that is not there has the
// value of the family's config class in transformers. Every wrong or absurd value is one line that
// names the key and the rule; all of them at once (ExitCode::bad_data). auto_map and other keys
// that ask for code of the checkpoint are ignored: nothing of a checkpoint is ever executed.
// `context`: the longest sequence that is to be computed, which rope types dynamic and longrope
// need; 0: not given.
ModelConfig read_model_config(const std::filesystem::path& folder, int64_t context = 0);

// "qwen2 (Qwen2ForCausalLM)" of each family that can be read.
std::vector<std::string> supported_families();

// inv_freq [rotary_dim / 2] of the rotary embedding and the factor on cos and sin. Sources: Su et
// al. 2021 (RoFormer); linear: Chen et al. 2023; llama3: the Llama 3.1 release; yarn: Peng et al.
// 2023. Float32 operations in the order of transformers' modeling_rope_utils.
struct RopeFrequencies {
  std::vector<float> inv_freq;
  double attention_scaling = 1;
};
RopeFrequencies rope_frequencies(const RopeConfig& rope, int64_t rotary_dim);

// Yarn's correction of the scale of scores, which DeepSeek-V3 squares and applies to the softmax
// instead of to cos and sin: 0.1 mscale_all_dim ln(factor) + 1; 1 where it is not given.
double yarn_softmax_factor(const RopeConfig& rope);

}  // namespace preimage::lm
