// Reading config.json key by key, so that one pass names everything that is wrong with it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/lm/checkpoint/model_config.hpp"

namespace preimage::lm {

// Far above every published model; a value beyond is a damaged or hostile file.
inline constexpr int64_t kMaxHidden = 1 << 20, kMaxIntermediate = 1 << 24, kMaxLayers = 1000;
inline constexpr int64_t kMaxHeads = 4096, kMaxHeadDim = 4096;
inline constexpr int64_t kMaxVocab = 1 << 24, kMaxPositions = int64_t{1} << 31;
inline constexpr int64_t kMaxExperts = 4096;
inline constexpr int64_t kMaxAllExperts = 200'000;  // of all layers: each has tensors of its own
inline constexpr int64_t kMaxParameters = 10'000'000'000'000;

// One object and what is wrong with it. A reading that fails leaves its line and goes on.
class ConfigReader {
 public:
  ConfigReader(const base::Json& value, const std::string& place, std::vector<std::string>& errors)
      : node_(value, place), errors_(errors) {}

  const base::JsonNode& node() const { return node_; }
  std::vector<std::string>& errors() { return errors_; }
  bool has(const std::string& key) const { return node_.find(key).has_value(); }  // and not null

  void attempt(const std::function<void()>& reading);
  void refuse(const std::string& what);

  void integer(const std::string& key, int64_t& out, int64_t low, int64_t high);
  void number(const std::string& key, double& out, double low, double high);
  // These keep `out`, or give `otherwise`, when the key is absent or null.
  void optional_integer(const std::string& key, int64_t& out, int64_t low, int64_t high);
  void optional_number(const std::string& key, double& out, double low, double high);
  bool boolean(const std::string& key, bool otherwise);
  std::string text(const std::string& key, std::string otherwise);
  // Refuses any other value than the one that the code computes with.
  void require_text(const std::string& key, const std::string& only);

 private:
  base::JsonNode node_;
  std::vector<std::string>& errors_;
};

// What several families share. Each reads the published keys and their published variants.

// Sizes, heads, eps, tied embeddings, hidden_act.
void read_sizes(ConfigReader& config, ModelConfig& out);
// num_key_value_heads (default: all) and head_dim (default: hidden_size / heads).
void read_grouped_heads(ConfigReader& config, ModelConfig& out);
// Three spellings of one thing: {"rope_theta": t, "rope_scaling": {"type": ...}}, the same with
// "rope_type", and {"rope_parameters": {"rope_type": ..., "rope_theta": t, ...}}.
void read_rope(ConfigReader& config, ModelConfig& out);
// Qwen's windows: `sliding_window` holds a number in every config; it acts only where
// use_sliding_window is true, on the layers that layer_types names or from max_window_layers on.
void read_optional_windows(ConfigReader& config, ModelConfig& out);
// layer_types, one word for each layer; where the key is absent, `slides` decides. A layer called
// sliding_attention sees `window` tokens; 0: there is no window.
void read_layer_types(ConfigReader& config, int64_t window,
                      const std::function<bool(int64_t layer)>& slides, ModelConfig& out);
// What any mixture of experts must keep to.
void check_experts(ConfigReader& config, const ModelConfig& out);
// quantization_config: fp8 and compressed-tensors of any family; `mxfp4`: this one stores that too.
void read_quantization(ConfigReader& config, bool mxfp4, ModelConfig& out);

}  // namespace preimage::lm
