#include <cmath>
#include <functional>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using base::JsonNode;
using base::str;

// Far above every published model; a value beyond is a damaged or hostile file.
constexpr int64_t kMaxHidden = 1 << 20, kMaxIntermediate = 1 << 24, kMaxLayers = 1000;
constexpr int64_t kMaxHeads = 4096, kMaxHeadDim = 4096;
constexpr int64_t kMaxVocab = 1 << 24, kMaxPositions = int64_t{1} << 31;
constexpr int64_t kMaxParameters = 10'000'000'000'000;

// One document and what is wrong with it. A reading that throws leaves its line and goes on.
class Reader {
 public:
  Reader(const Json& value, const std::string& place, std::vector<std::string>& errors)
      : node_(value, place), errors_(errors) {}

  const JsonNode& node() const { return node_; }
  bool has(const std::string& key) const { return node_.find(key).has_value(); }

  void attempt(const std::function<void()>& reading) {
    try {
      reading();
    } catch (const base::Error& error) {
      errors_.push_back(error.what());
    }
  }
  void refuse(const std::string& what) { errors_.push_back(node_.place() + ": " + what); }

  void integer(const std::string& key, int64_t& out, int64_t low, int64_t high) {
    attempt([&] { out = node_.at(key).integer(low, high); });
  }
  // Keeps `out` when the key is absent or null.
  void optional_integer(const std::string& key, int64_t& out, int64_t low, int64_t high) {
    if (has(key)) integer(key, out, low, high);
  }
  void number(const std::string& key, double& out, double low, double high) {
    attempt([&] {
      if (node_.json().contains(key) && !has(key)) {
        node_.fail(key + ": found null or NaN, expected a number");
      }
      const JsonNode value = node_.at(key);
      const double found = value.number();
      // The negation also catches NaN.
      if (!(found >= low && found <= high)) {
        value.fail(str("found ", found, ", allowed are ", low, " to ", high));
      }
      out = found;
    });
  }
  void optional_number(const std::string& key, double& out, double low, double high) {
    if (has(key)) number(key, out, low, high);
  }
  bool boolean(const std::string& key, bool otherwise) {
    attempt([&] { otherwise = node_.boolean_or(key, otherwise); });
    return otherwise;
  }
  std::string text(const std::string& key, std::string otherwise) {
    attempt([&] { otherwise = node_.string_or(key, otherwise); });
    return otherwise;
  }

 private:
  JsonNode node_;
  std::vector<std::string>& errors_;
};

// ---- rope: three spellings of one thing (models.md 1.3 of the format notes)
// ------------------------
//   {"rope_theta": t, "rope_scaling": {"type": ...}}, the same with "rope_type", and
//   {"rope_parameters": {"rope_type": ..., "rope_theta": t, ...}}.

std::string rope_type(Reader& rope) {
  const std::string older = rope.text("type", ""), newer = rope.text("rope_type", older);
  if (!older.empty() && older != newer) {
    rope.refuse(str("type \"", older, "\" and rope_type \"", newer, "\" disagree; keep one"));
  }
  return newer.empty() ? "default" : newer;
}

void read_yarn(Reader& rope, RopeConfig& out) {
  rope.optional_number("beta_fast", out.beta_fast, 1e-6, 1e6);
  rope.optional_number("beta_slow", out.beta_slow, 1e-6, 1e6);
  if (out.beta_fast < out.beta_slow) {
    rope.refuse(str("beta_fast ", out.beta_fast, " is below beta_slow ", out.beta_slow));
  }
  rope.optional_number("attention_factor", out.attention_factor, 1e-6, 1e6);
  rope.optional_number("mscale", out.mscale, 0, 1e6);
  rope.optional_number("mscale_all_dim", out.mscale_all_dim, 0, 1e6);
  out.truncate = rope.boolean("truncate", true);
}

void read_scaling(Reader& rope, Reader& config, int64_t max_positions, RopeConfig& out) {
  out.type = rope_type(rope);
  for (const auto& [key, value] : rope.node().json().items()) {
    if (value.is_object()) {
      rope.refuse("key \"" + key +
                  "\" holds an object: rope settings by layer type are not supported");
    }
  }
  double partial = 1;
  rope.optional_number("partial_rotary_factor", partial, 0, 1);
  if (partial != 1) rope.refuse("partial_rotary_factor must be 1");
  if (out.type == "default") return;
  static const std::set<std::string> known = {"linear", "llama3", "yarn"};
  if (!known.contains(out.type)) {
    rope.refuse("rope type \"" + out.type +
                "\" is not supported; supported are default, linear, llama3, yarn");
    return;
  }
  out.original_max_position_embeddings = max_positions;
  config.optional_integer("original_max_position_embeddings", out.original_max_position_embeddings,
                          1, kMaxPositions);
  rope.optional_integer("original_max_position_embeddings", out.original_max_position_embeddings, 1,
                        kMaxPositions);
  if (out.type == "yarn" && !rope.has("factor") && out.original_max_position_embeddings > 0) {
    out.factor = static_cast<double>(max_positions) /
                 static_cast<double>(out.original_max_position_embeddings);
  } else {
    rope.number("factor", out.factor, 1, 1e6);
  }
  if (out.type == "yarn") read_yarn(rope, out);
  if (out.type == "llama3") {
    rope.number("low_freq_factor", out.low_freq_factor, 1e-6, 1e6);
    rope.number("high_freq_factor", out.high_freq_factor, 1e-6, 1e6);
    if (out.high_freq_factor <= out.low_freq_factor) {
      rope.refuse(str("high_freq_factor ", out.high_freq_factor, " must be above low_freq_factor ",
                      out.low_freq_factor));
    }
  }
}

void read_rope(Reader& config, int64_t max_positions, std::vector<std::string>& errors,
               RopeConfig& out) {
  constexpr double kLowest = 1.0001, kHighest = 1e12;  // its logarithm divides
  config.optional_number("rope_theta", out.theta, kLowest, kHighest);
  const auto older = config.node().find("rope_scaling");
  const auto newer = config.node().find("rope_parameters");
  if (older && newer && older->json() != newer->json()) {
    config.refuse("rope_scaling and rope_parameters are both given and differ; keep one");
    return;
  }
  if (!older && !newer) return;
  const JsonNode& node = newer ? *newer : *older;
  if (!node.json().is_object()) {
    config.attempt([&] { node.wrong_type("an object or null"); });
    return;
  }
  Reader rope(node.json(), node.place(), errors);
  const double top = out.theta;
  rope.optional_number("rope_theta", out.theta, kLowest, kHighest);
  if (config.has("rope_theta") && out.theta != top) {
    rope.refuse(str("rope_theta ", out.theta, " and the top level's ", top, " disagree; keep one"));
  }
  read_scaling(rope, config, max_positions, out);
}

// ---- families
// --------------------------------------------------------------------------------------

void read_common_sizes(Reader& config, ModelConfig& out) {
  config.integer("hidden_size", out.hidden_size, 1, kMaxHidden);
  config.integer("intermediate_size", out.intermediate_size, 1, kMaxIntermediate);
  config.integer("num_hidden_layers", out.layers, 1, kMaxLayers);
  config.integer("num_attention_heads", out.query_heads, 1, kMaxHeads);
  config.integer("vocab_size", out.vocab_size, 1, kMaxVocab);
  config.integer("max_position_embeddings", out.max_position_embeddings, 1, kMaxPositions);
  config.number("rms_norm_eps", out.rms_norm_eps, 1e-30, 1);
  out.kv_heads = out.query_heads;
  config.optional_integer("num_key_value_heads", out.kv_heads, 1, kMaxHeads);
  if (out.kv_heads > 0 && out.query_heads % out.kv_heads != 0) {
    config.refuse(str("num_attention_heads ", out.query_heads,
                      " must be a multiple of num_key_value_heads ", out.kv_heads));
  }
  if (config.has("head_dim")) {
    config.integer("head_dim", out.head_dim, 2, kMaxHeadDim);
  } else if (out.query_heads > 0 && out.hidden_size > 0) {
    if (out.hidden_size % out.query_heads != 0) {
      config.refuse(str("hidden_size ", out.hidden_size,
                        " must be a multiple of num_attention_heads ", out.query_heads,
                        " where head_dim is not given"));
    }
    out.head_dim = out.hidden_size / out.query_heads;
  }
  if (out.head_dim % 2 != 0) {
    config.refuse(
        str("head dimension ", out.head_dim, " must be even: the rotary embedding halves it"));
  }
  out.tied_embeddings = config.boolean("tie_word_embeddings", false);
  if (const auto act = config.text("hidden_act", "silu"); act != "silu") {
    config.refuse("hidden_act \"" + act + "\" is not supported, expected \"silu\"");
  }
}

// `sliding_window` holds a number in every Qwen2 config; it acts only where use_sliding_window is
// true, on the layers from max_window_layers on.
void refuse_sliding_window(Reader& config, const ModelConfig& out) {
  int64_t full_layers = 28;
  config.optional_integer("max_window_layers", full_layers, 0, INT64_MAX);
  if (config.boolean("use_sliding_window", false) && config.has("sliding_window") &&
      full_layers < out.layers) {
    config.refuse("use_sliding_window is true: sliding-window attention is not supported");
  }
  config.attempt([&] {
    const auto types = config.node().find("layer_types");
    for (size_t i = 0; types && i < types->size(); ++i) {
      if (types->at(i).string() != "full_attention") {
        types->at(i).fail("found \"" + types->at(i).string() +
                          "\", only full_attention is supported");
      }
    }
  });
}

void read_qwen2(Reader& config, std::vector<std::string>& errors, ModelConfig& out) {
  read_common_sizes(config, out);
  out.qkv_bias = true;  // without a key of its own
  refuse_sliding_window(config, out);
  config.attempt([&] { read_rope(config, out.max_position_embeddings, errors, out.rope); });
}

struct Family {
  std::string model_type, architecture;
  void (*read)(Reader&, std::vector<std::string>&, ModelConfig&);
};
const Family kFamilies[] = {{"qwen2", "Qwen2ForCausalLM", read_qwen2}};

std::string supported_families() {
  std::vector<std::string> names;
  for (const auto& family : kFamilies)
    names.push_back(family.model_type + " (" + family.architecture + ")");
  return base::join(names, ", ");
}

// Throws when the family is unknown: nothing else of the file can then be judged.
const Family& family_of(const JsonNode& config) {
  std::string architecture;
  if (const auto list = config.find("architectures"); list && list->size() > 0) {
    architecture = list->at(size_t{0}).string();
  }
  const std::string type = config.string_or("model_type", "");
  for (const auto& family : kFamilies) {
    const bool type_fits = type.empty() || type == family.model_type;
    const bool architecture_fits = architecture.empty() || architecture == family.architecture;
    if (type_fits && architecture_fits && !(type.empty() && architecture.empty())) return family;
  }
  config.fail(str("model_type \"", type, "\", architecture \"", architecture,
                  "\" is not supported; supported are ", supported_families()));
}

// ---- special tokens
// --------------------------------------------------------------------------------

std::vector<int64_t> ids_of(const JsonNode& value, int64_t vocab_size) {
  if (!value.json().is_array()) return {value.integer(0, vocab_size - 1)};
  std::vector<int64_t> ids;
  for (size_t i = 0; i < value.size(); ++i) ids.push_back(value.at(i).integer(0, vocab_size - 1));
  return ids;
}

// Called for config.json and then for generation_config.json, whose values win.
void read_special_tokens(Reader& file, ModelConfig& out) {
  const int64_t vocab = out.vocab_size > 0 ? out.vocab_size : kMaxVocab;
  file.attempt([&] {
    if (const auto eos = file.node().find("eos_token_id")) out.eos_ids = ids_of(*eos, vocab);
  });
  file.optional_integer("bos_token_id", out.bos_id, -1, vocab - 1);
  file.optional_integer("pad_token_id", out.pad_id, -1, vocab - 1);
}

Json read_object(const std::filesystem::path& path) {
  // Python writes bare NaN; as null it is named with its key below.
  Json json = base::read_json(path, {.allow_non_finite = true});
  if (!json.is_object()) JsonNode(json, path.string()).wrong_type("an object");
  return json;
}

}  // namespace

int64_t ModelConfig::parameters() const {
  const int64_t query = query_heads * head_dim, kv = kv_heads * head_dim;
  const int64_t attention = 2 * hidden_size * query + 2 * hidden_size * kv;
  const int64_t bias = qkv_bias ? query + 2 * kv : 0;
  const int64_t norms = 2 * hidden_size;
  const int64_t mlp = 3 * hidden_size * intermediate_size;
  const int64_t embedding = vocab_size * hidden_size;
  return (tied_embeddings ? 1 : 2) * embedding + layers * (attention + bias + norms + mlp) +
         hidden_size;
}

ModelConfig read_model_config(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const Json json = read_object(path);
  std::vector<std::string> errors;
  Reader config(json, path.string(), errors);
  const Family& family = family_of(config.node());

  ModelConfig out;
  out.family = family.model_type;
  family.read(config, errors, out);
  for (const std::string key : {"quantization_config", "compression_config"}) {
    if (!config.has(key)) continue;
    config.attempt([&] {
      const auto settings = config.node().at(key);
      settings.fail("quantized weights (quant_method \"" + settings.string_or("quant_method", "?") +
                    "\") are not supported; use the unquantized checkpoint");
    });
  }
  out.stored_dtype = config.text("dtype", config.text("torch_dtype", ""));
  read_special_tokens(config, out);
  const auto generation_path = folder / "generation_config.json";
  if (std::filesystem::exists(generation_path)) {
    const Json generation_json = read_object(generation_path);
    Reader generation(generation_json, generation_path.string(), errors);
    read_special_tokens(generation, out);
  }
  if (errors.empty() && out.parameters() > kMaxParameters) {
    config.refuse(
        str("these sizes make ", out.parameters(), " parameters, the limit is ", kMaxParameters));
  }
  if (!errors.empty()) throw base::data_error(base::join(errors, "\n"));
  return out;
}

}  // namespace preimage::lm
