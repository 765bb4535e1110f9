// adapter_config.json of a LoRA adapter (PEFT 0.21): which modules it changes, by which rank and
// scale, and what its initialisation does to the base weights when PEFT loads it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/text/pattern.hpp"

namespace preimage::lm {

// init_lora_weights: what PEFT does to the weights of a linear layer before it loads the adapter.
struct BaseChange {
  enum class Kind { none, pissa, olora };
  Kind kind = Kind::none;
  int64_t iterations = -1;  // of pissa's randomized decomposition; -1: exact
};

class AdapterConfig {
 public:
  // Every key is used, known to change nothing, or refused by name. `model_type` of the base.
  AdapterConfig(const std::filesystem::path& path, const std::string& model_type);

  // Whether PEFT puts low-rank matrices on the module of that path. `linear`: it is a linear layer
  // other than the head.
  bool targets(const std::string& module, bool linear) const;
  // Whether modules_to_save names it.
  bool saves_whole(const std::string& module) const;
  int64_t rank(const std::string& module) const;
  double scale(const std::string& module) const;
  const BaseChange& base_change() const { return base_change_; }
  // Both sides of a tied matrix change as one.
  bool ties() const { return ties_; }
  const std::string& place() const { return place_; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  struct Valued {
    text::Pattern pattern;
    double value;
  };
  void read_init(const base::JsonNode& config);
  void read_targets(const base::JsonNode& config, const std::string& model_type);
  void read_layers(const base::JsonNode& config);
  std::vector<Valued> read_patterns(const base::JsonNode& config, const std::string& key,
                                    const std::string& text) const;
  bool in_layers(const std::string& module) const;

  std::string place_;
  double rank_ = 8, alpha_ = 8;
  bool rslora_ = false, ties_ = false;
  std::vector<Valued> ranks_, alphas_;
  bool all_linear_ = false;
  std::optional<text::Pattern> target_pattern_, exclude_pattern_;
  std::vector<std::string> target_names_, exclude_names_, save_names_;
  std::vector<text::Pattern> save_patterns_;
  bool by_layer_ = false;
  std::vector<int64_t> layers_;
  std::vector<text::Pattern> layer_patterns_;  // with a group "idx"
  BaseChange base_change_;
  std::vector<std::string> notes_;
};

}  // namespace preimage::lm
