// Reading config.json key by key, so that one pass names everything that is wrong with it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/key_ledger.hpp"
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

// What a reading of files found: lines each.
struct Findings {
  std::vector<std::string> errors;
  std::vector<std::string> notes;  // what the user is told, though it is no error
};

// One object and what is wrong with it. A reading that fails leaves its line and goes on. A key
// that is not there has the value of `defaults`, if any: that of the family's config class.
class ConfigReader {
 public:
  ConfigReader(const base::Json& value, const std::string& place, Findings& found,
               const base::Json& defaults = base::Json::object());
  ConfigReader(const ConfigReader&) = delete;

  const base::JsonNode& node() const { return node_; }
  Findings& findings() { return found_; }
  void note(const std::string& what) { found_.notes.push_back(node_.place() + ": " + what); }
  // The value where it is there and not null.
  std::optional<base::JsonNode> find(const std::string& key) const {
    keys_.asked(key);
    return node_.find(key);
  }
  bool has(const std::string& key) const { return find(key).has_value(); }
  // Whether the file itself holds the key, null or not.
  bool holds(const std::string& key) const { return file_.contains(key); }
  const KeyLedger& keys() const { return keys_; }
  // The last call: one note names the keys of the file that were not asked for.
  void finish();

  void attempt(const std::function<void()>& reading);
  void refuse(const std::string& what);

  void integer(const std::string& key, int64_t& out, int64_t low, int64_t high);
  // An integer that Python may have written as 64.0.
  void whole_number(const std::string& key, int64_t& out, int64_t low, int64_t high);
  void number(const std::string& key, double& out, double low, double high);
  // These keep `out`, or give `otherwise`, when the key is absent or null.
  void optional_integer(const std::string& key, int64_t& out, int64_t low, int64_t high);
  void optional_number(const std::string& key, double& out, double low, double high);
  bool boolean(const std::string& key, bool otherwise);
  std::string text(const std::string& key, std::string otherwise);
  // Refuses any other value than the one that the code computes with.
  void require_text(const std::string& key, const std::string& only);
  void require_boolean(const std::string& key, bool only);
  // Refuses a key that holds anything but null and an empty list or object.
  void require_absent(const std::string& key);

 private:
  const base::Json file_, merged_;
  base::JsonNode node_;  // of merged_
  Findings& found_;
  KeyLedger keys_;
};

// An integer of `node`, 3.0 included, within [low, high].
int64_t whole_number(const base::JsonNode& node, int64_t low, int64_t high);

// What several families share. Each reads the published keys and their published variants.

// Sizes, heads, eps, tied embeddings, hidden_act.
void read_sizes(ConfigReader& config, ModelConfig& out);
// num_key_value_heads (default: all) and head_dim (default: hidden_size / heads).
void read_grouped_heads(ConfigReader& config, ModelConfig& out);
// Spellings of one thing: {"rope_theta": t, "rope_scaling": {"type": ...}}, the same with
// "rope_type", and {"rope_parameters": {"rope_type": ..., "rope_theta": t, ...}}, in the order of
// precedence of transformers: rope_scaling unless it is null or empty, else rope_parameters;
// rope_type before type; the object's rope_theta before the top level's; but the top level's
// original_max_position_embeddings before the object's.
void read_rope(ConfigReader& config, ModelConfig& out);
// The settings of transformers' config classes that change what any decoder computes and that
// nothing here does.
void refuse_other_attention(ConfigReader& config);
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
