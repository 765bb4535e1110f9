#include "checkpoint/adapter_config.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>

#include "checkpoint/key_ledger.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::JsonNode;
using base::str;

constexpr double kMaxRank = 1 << 16;
constexpr uint64_t kConfigBytes = 1 << 20;

// Keys that change the mathematics and that nothing here computes.
void refuse_other_mathematics(const JsonNode& config) {
  if (const auto type = config.string_or("peft_type", "?"); type != "LORA")
    config.fail("peft_type \"" + type + "\" is not supported, expected \"LORA\"");
  for (const char* key : {"use_dora", "lora_bias", "use_qalora", "use_bdlora"}) {
    const auto found = config.find(key);
    if (found && !(found->json().is_boolean() && !found->boolean()))
      config.fail(str(key, " ", found->json().is_boolean() ? "true " : "", "is not supported"));
  }
  if (const auto bias = config.string_or("bias", "none"); bias != "none")
    config.fail("bias \"" + bias + "\" is not supported, expected \"none\"");
  for (const char* key : {"target_parameters", "trainable_token_indices", "layer_replication",
                          "alora_invocation_tokens", "arrow_config", "kasa_config", "velora_config",
                          "monteclora_config"}) {
    const auto value = config.find(key);
    if (value && !(value->json().is_structured() && value->json().empty()))
      value->fail("is not supported");
  }
}

// All keys of PEFT's LoraConfig, and of its older versions.
const KeyLedger& known_keys() {
  static const KeyLedger ledger = [] {
    KeyLedger keys;
    // used, or refused
    keys.without_effect({"alora_invocation_tokens",
                         "alpha_pattern",
                         "arrow_config",
                         "bias",
                         "ensure_weight_tying",
                         "exclude_modules",
                         "init_lora_weights",
                         "kasa_config",
                         "layer_replication",
                         "layers_pattern",
                         "layers_to_transform",
                         "lora_alpha",
                         "lora_bias",
                         "modules_to_save",
                         "monteclora_config",
                         "peft_type",
                         "r",
                         "rank_pattern",
                         "target_modules",
                         "target_parameters",
                         "trainable_token_indices",
                         "use_bdlora",
                         "use_dora",
                         "use_qalora",
                         "use_rslora",
                         "velora_config"});
    // training, book-keeping, settings of an initialisation that is judged by its name; and
    // fan_in_fan_out, which PEFT unsets for linear layers
    keys.without_effect({"auto_mapping", "base_model_name_or_path", "corda_config", "enable_lora",
                         "eva_config", "fan_in_fan_out", "inference_mode", "loftq_config",
                         "lora_dropout", "lora_ga_config", "megatron_config", "megatron_core",
                         "merge_weights", "peft_version", "qalora_group_size", "revision",
                         "runtime_config", "task_type"});
    return keys;
  }();
  return ledger;
}

std::vector<std::string> strings(const JsonNode& node) {
  std::vector<std::string> out;
  for (size_t i = 0; i < node.size(); ++i) out.push_back(node.at(i).string());
  return out;
}

std::string lowered(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool is_or_ends(const std::string& module, const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return module == name || module.ends_with("." + name);
  });
}

}  // namespace

AdapterConfig::AdapterConfig(const std::filesystem::path& path, const std::string& model_type)
    : place_(path.string()) {
  const auto text = base::read_file(path, kConfigBytes);
  const base::Json json = base::parse_json(text, place_, {.allow_non_finite = true});
  const JsonNode config(json, place_);
  refuse_other_mathematics(config);
  if (const auto r = config.find("r")) rank_ = r->number();
  if (const auto alpha = config.find("lora_alpha")) alpha_ = alpha->number();
  rslora_ = config.boolean_or("use_rslora", false);
  ties_ = config.boolean_or("ensure_weight_tying", false);
  ranks_ = read_patterns(config, "rank_pattern", text);
  alphas_ = read_patterns(config, "alpha_pattern", text);
  read_init(config);
  read_targets(config, model_type);
  read_layers(config);
  if (auto note = known_keys().note(json, place_); !note.empty()) notes_.push_back(note);
}

// In the order of the file: the first pattern that fits decides.
std::vector<AdapterConfig::Valued> AdapterConfig::read_patterns(const JsonNode& config,
                                                                const std::string& key,
                                                                const std::string& text) const {
  std::vector<Valued> out;
  const auto patterns = config.find(key);
  if (!patterns) return out;
  if (!patterns->json().is_object()) patterns->wrong_type("an object of pattern to number");
  const auto ordered = nlohmann::ordered_json::parse(text, nullptr, false);
  const auto found = ordered.find(key);
  if (found == ordered.end() || !found->is_object()) return out;
  for (const auto& [pattern, value] : found->items()) {
    out.push_back({text::Pattern(str("(?:.*\\.)?(?:", pattern, ")$"), patterns->place()),
                   patterns->at(pattern).number()});
  }
  return out;
}

void AdapterConfig::read_init(const JsonNode& config) {
  const auto init = config.find("init_lora_weights");
  if (!init || init->json().is_boolean()) return;
  const std::string& name = init->string();
  const std::string lower = lowered(name), niter = "pissa_niter_";
  if (name == "pissa") {
    base_change_.kind = BaseChange::Kind::pissa;
  } else if (name.starts_with(niter) && name.size() > niter.size() &&
             name.size() < niter.size() + 6 &&
             name.find_first_not_of("0123456789", niter.size()) == name.npos) {
    base_change_ = {BaseChange::Kind::pissa, std::stoll(name.substr(niter.size()))};
  } else if (lower == "olora") {
    base_change_.kind = BaseChange::Kind::olora;
  } else if (name == "lora_ga") {
    notes_.push_back(init->place() +
                     ": \"lora_ga\" changed the base weights in training; as in PEFT, the adapter "
                     "is put on the weights that are given");
  } else if (lower != "gaussian" && lower != "mica" && name != "eva" && name != "orthogonal") {
    init->fail("\"" + name +
               "\" is not supported: PEFT changes the base weights when it loads such an adapter; "
               "save it with path_initial_model_for_weight_conversion, or merge it");
  }
}

void AdapterConfig::read_targets(const JsonNode& config, const std::string& model_type) {
  const auto targets = config.find("target_modules");
  if (!targets) {
    // PEFT's own choice where the file names none.
    if (model_type != "llama" && model_type != "qwen2" && model_type != "qwen3")
      config.fail("key \"target_modules\" is missing, which PEFT knows for llama, qwen2, qwen3");
    target_names_ = {"q_proj", "v_proj"};
  } else if (!targets->json().is_string()) {
    target_names_ = strings(*targets);
  } else if (lowered(targets->string()) == "all-linear") {
    all_linear_ = true;
  } else {
    target_pattern_.emplace(targets->string(), targets->place());
  }
  if (const auto exclude = config.find("exclude_modules")) {
    if (exclude->json().is_string()) {
      if (!exclude->string().empty()) exclude_pattern_.emplace(exclude->string(), exclude->place());
    } else {
      exclude_names_ = strings(*exclude);
    }
  }
  if (const auto save = config.find("modules_to_save")) {
    save_names_ = strings(*save);
    for (const auto& name : save_names_)
      save_patterns_.emplace_back(str("(?:^|.*\\.)", name, "(?:$|\\..*)"), save->place());
  }
}

void AdapterConfig::read_layers(const JsonNode& config) {
  const auto layers = config.find("layers_to_transform");
  if (!layers) return;
  if (layers->json().is_array()) {
    for (size_t i = 0; i < layers->size(); ++i) layers_.push_back(layers->at(i).integer());
  } else {
    layers_ = {layers->integer()};
  }
  by_layer_ = !layers_.empty();
  const auto patterns = config.find("layers_pattern");
  std::vector<std::string> names;
  if (patterns)
    names = patterns->json().is_string() ? std::vector<std::string>{patterns->string()}
                                         : strings(*patterns);
  std::erase(names, "");
  if (names.empty()) {
    layer_patterns_.emplace_back(R"(.*?\.[^.]*\.(?P<idx>\d+)\.)", layers->place());
  }
  for (const auto& name : names)
    layer_patterns_.emplace_back(str(R"((?:^|.*?\.))", name, R"(\.(?P<idx>\d+)\.)"),
                                 patterns->place());
}

bool AdapterConfig::in_layers(const std::string& module) const {
  for (const auto& pattern : layer_patterns_) {
    const auto index = pattern.named_group(module, "idx");
    if (!index) continue;
    if (index->size() > 9) return false;
    return std::find(layers_.begin(), layers_.end(), std::stoll(*index)) != layers_.end();
  }
  return false;
}

bool AdapterConfig::targets(const std::string& module, bool linear) const {
  if (exclude_pattern_ && exclude_pattern_->matches_whole(module)) return false;
  if (is_or_ends(module, exclude_names_)) return false;
  for (const auto& pattern : save_patterns_) {
    if (pattern.matches_start(module)) return false;
  }
  if (all_linear_) return linear;
  if (target_pattern_) return target_pattern_->matches_whole(module);
  // A name that is the module's whole path stands for it whatever its layer.
  if (std::find(target_names_.begin(), target_names_.end(), module) != target_names_.end())
    return true;
  return is_or_ends(module, target_names_) && (!by_layer_ || in_layers(module));
}

bool AdapterConfig::saves_whole(const std::string& module) const {
  return std::any_of(save_names_.begin(), save_names_.end(),
                     [&](const std::string& name) { return module.ends_with(name); });
}

int64_t AdapterConfig::rank(const std::string& module) const {
  double rank = rank_;
  for (const auto& [pattern, value] : ranks_) {
    if (!pattern.matches_start(module)) continue;
    rank = value;
    break;
  }
  if (!(rank >= 1 && rank <= kMaxRank && rank == std::floor(rank))) {
    throw base::data_error(
        str(place_, ": r: found ", rank, " for ", module, ", expected an integer from 1 on"));
  }
  return static_cast<int64_t>(rank);
}

double AdapterConfig::scale(const std::string& module) const {
  double alpha = alpha_;
  for (const auto& [pattern, value] : alphas_) {
    if (!pattern.matches_start(module)) continue;
    alpha = value;
    break;
  }
  const auto r = static_cast<double>(rank(module));
  return alpha / (rslora_ ? std::sqrt(r) : r);
}

}  // namespace preimage::lm
