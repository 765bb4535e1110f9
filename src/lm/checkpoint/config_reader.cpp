#include "checkpoint/config_reader.hpp"

#include <algorithm>
#include <cmath>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {

using base::JsonNode;
using base::str;

namespace {

base::Json over(base::Json defaults, const base::Json& file) {
  if (!file.is_object()) return file;
  if (!defaults.is_object()) return file;
  defaults.update(file);
  return defaults;
}

}  // namespace

ConfigReader::ConfigReader(const base::Json& value, const std::string& place, Findings& found,
                           const base::Json& defaults)
    : file_(value), merged_(over(defaults, value)), node_(merged_, place), found_(found) {}

void ConfigReader::finish() {
  if (auto left = keys_.note(file_, node_.place()); !left.empty())
    found_.notes.push_back(std::move(left));
}

int64_t whole_number(const JsonNode& node, int64_t low, int64_t high) {
  if (!node.json().is_number_float()) return node.integer(low, high);
  const double value = node.number();
  if (value != std::floor(value)) node.wrong_type("an integer");
  if (!(value >= static_cast<double>(low) && value <= static_cast<double>(high)))
    node.fail(str("found ", value, ", allowed are ", low, " to ", high));
  return static_cast<int64_t>(value);
}

void ConfigReader::attempt(const std::function<void()>& reading) {
  try {
    reading();
  } catch (const base::Error& error) {
    found_.errors.push_back(error.what());
  }
}

void ConfigReader::refuse(const std::string& what) {
  found_.errors.push_back(node_.place() + ": " + what);
}

void ConfigReader::integer(const std::string& key, int64_t& out, int64_t low, int64_t high) {
  keys_.asked(key);
  attempt([&] { out = node_.at(key).integer(low, high); });
}

void ConfigReader::whole_number(const std::string& key, int64_t& out, int64_t low, int64_t high) {
  keys_.asked(key);
  attempt([&] { out = lm::whole_number(node_.at(key), low, high); });
}

void ConfigReader::optional_integer(const std::string& key, int64_t& out, int64_t low,
                                    int64_t high) {
  if (has(key)) integer(key, out, low, high);
}

void ConfigReader::number(const std::string& key, double& out, double low, double high) {
  keys_.asked(key);
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

void ConfigReader::optional_number(const std::string& key, double& out, double low, double high) {
  if (has(key)) number(key, out, low, high);
}

bool ConfigReader::boolean(const std::string& key, bool otherwise) {
  keys_.asked(key);
  attempt([&] { otherwise = node_.boolean_or(key, otherwise); });
  return otherwise;
}

std::string ConfigReader::text(const std::string& key, std::string otherwise) {
  keys_.asked(key);
  attempt([&] { otherwise = node_.string_or(key, otherwise); });
  return otherwise;
}

void ConfigReader::require_text(const std::string& key, const std::string& only) {
  if (const auto found = text(key, only); found != only) {
    refuse(str(key, " \"", found, "\" is not supported, expected \"", only, "\""));
  }
}

void ConfigReader::require_boolean(const std::string& key, bool only) {
  if (boolean(key, only) != only) refuse(str(key, only ? " false" : " true", " is not supported"));
}

void ConfigReader::require_absent(const std::string& key) {
  const auto found = find(key);
  if (found && !(found->json().is_structured() && found->json().empty()))
    refuse(str(key, " is not supported, expected null"));
}

void refuse_other_attention(ConfigReader& config) {
  config.require_boolean("is_causal", true);
  config.require_boolean("use_bidirectional_attention", false);
  config.require_boolean("is_encoder_decoder", false);
  config.require_boolean("add_cross_attention", false);
  config.require_absent("per_layer_config");
}

void read_sizes(ConfigReader& config, ModelConfig& out) {
  config.integer("hidden_size", out.hidden_size, 1, kMaxHidden);
  config.integer("intermediate_size", out.intermediate_size, 1, kMaxIntermediate);
  config.integer("num_hidden_layers", out.layers, 1, kMaxLayers);
  config.integer("num_attention_heads", out.query_heads, 1, kMaxHeads);
  config.integer("vocab_size", out.vocab_size, 1, kMaxVocab);
  config.integer("max_position_embeddings", out.max_position_embeddings, 1, kMaxPositions);
  config.number("rms_norm_eps", out.rms_norm_eps, 1e-30, 1);
  out.tied_embeddings = config.boolean("tie_word_embeddings", false);
  config.require_text("hidden_act", "silu");
  refuse_other_attention(config);
}

void read_grouped_heads(ConfigReader& config, ModelConfig& out) {
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
}

void read_layer_types(ConfigReader& config, int64_t window,
                      const std::function<bool(int64_t)>& slides, ModelConfig& out) {
  if (out.layers == 0) return;  // refused already
  config.attempt([&] {
    const auto types = config.find("layer_types");
    if (types && types->size() != static_cast<size_t>(out.layers)) {
      types->fail(
          str("has ", types->size(), " entries, expected one for each of ", out.layers, " layers"));
    }
    bool any = false;
    std::vector<int64_t> windows;
    for (int64_t i = 0; i < out.layers; ++i) {
      bool sliding = !types && window > 0 && slides(i);
      if (types) {
        const auto type = types->at(static_cast<size_t>(i));
        sliding = type.string() == "sliding_attention";
        // "attention": the word of older configs.
        if (!sliding && type.string() != "full_attention" && type.string() != "attention") {
          type.fail("found \"" + type.string() +
                    "\", supported are full_attention and sliding_attention");
        }
        if (sliding && window == 0)
          type.fail("is sliding_attention, but no sliding_window is in force");
      }
      any = any || sliding;
      windows.push_back(sliding ? window : 0);
    }
    if (any) out.windows = std::move(windows);
  });
}

void read_optional_windows(ConfigReader& config, ModelConfig& out) {
  int64_t full_layers = 28, window = 0;
  config.optional_integer("max_window_layers", full_layers, 0, INT64_MAX);
  config.keys().without_effect({"sliding_window"});  // unless it is used
  if (config.boolean("use_sliding_window", false))
    config.optional_integer("sliding_window", window, 1, kMaxPositions);
  const auto slides = [&](int64_t layer) { return layer >= full_layers; };
  read_layer_types(config, window, slides, out);
}

void check_experts(ConfigReader& config, const ModelConfig& out) {
  const auto& e = *out.experts;
  if (e.experts_per_token > e.experts) {
    config.refuse(str("a token's experts (", e.experts_per_token, ") exceed the ", e.experts,
                      " that there are"));
  }
  const int64_t all = std::max<int64_t>(0, out.layers - e.first_dense_layers) * e.experts;
  if (all > kMaxAllExperts) {
    config.refuse(str(e.experts, " experts in each of ", out.layers, " layers: the limit is ",
                      kMaxAllExperts, " in all"));
  }
  // In floating point: the integers of an absurd file overflow.
  const double parameters = 3.0 * static_cast<double>(all + e.shared_experts * out.layers) *
                            static_cast<double>(out.hidden_size) *
                            static_cast<double>(e.intermediate_size);
  if (parameters > static_cast<double>(kMaxParameters)) {
    config.refuse(
        str("the experts make ", parameters, " parameters, the limit is ", kMaxParameters));
  }
}

}  // namespace preimage::lm
