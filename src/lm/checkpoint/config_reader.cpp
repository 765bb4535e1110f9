#include "checkpoint/config_reader.hpp"

#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {

using base::JsonNode;
using base::str;

void ConfigReader::attempt(const std::function<void()>& reading) {
  try {
    reading();
  } catch (const base::Error& error) {
    errors_.push_back(error.what());
  }
}

void ConfigReader::refuse(const std::string& what) {
  errors_.push_back(node_.place() + ": " + what);
}

void ConfigReader::integer(const std::string& key, int64_t& out, int64_t low, int64_t high) {
  attempt([&] { out = node_.at(key).integer(low, high); });
}

void ConfigReader::optional_integer(const std::string& key, int64_t& out, int64_t low,
                                    int64_t high) {
  if (has(key)) integer(key, out, low, high);
}

void ConfigReader::number(const std::string& key, double& out, double low, double high) {
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
  attempt([&] { otherwise = node_.boolean_or(key, otherwise); });
  return otherwise;
}

std::string ConfigReader::text(const std::string& key, std::string otherwise) {
  attempt([&] { otherwise = node_.string_or(key, otherwise); });
  return otherwise;
}

void ConfigReader::require_text(const std::string& key, const std::string& only) {
  if (const auto found = text(key, only); found != only) {
    refuse(str(key, " \"", found, "\" is not supported, expected \"", only, "\""));
  }
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
    const auto types = config.node().find("layer_types");
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
        if (!sliding && type.string() != "full_attention") {
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

namespace {

void read_fp8(const JsonNode& settings, StoredQuantization& out) {
  if (const auto format = settings.string_or("fmt", "e4m3"); format != "e4m3")
    settings.fail("fmt \"" + format + "\" is not supported, expected \"e4m3\"");
  const auto blocks = settings.at("weight_block_size");
  if (blocks.size() != 2) blocks.fail("expected [rows, columns] of a block");
  out.format = StoredQuantization::Format::fp8_blocks;
  out.block_rows = blocks.at(size_t{0}).integer(1, kMaxHidden);
  out.block_columns = blocks.at(size_t{1}).integer(1, kMaxHidden);
}

void read_compressed_tensors(const JsonNode& settings, StoredQuantization& out) {
  if (const auto format = settings.string_or("format", "?"); format != "pack-quantized")
    settings.fail("format \"" + format + "\" is not supported, expected \"pack-quantized\"");
  const auto groups = settings.at("config_groups");
  if (!groups.json().is_object() || groups.json().size() != 1)
    groups.fail("expected one group of settings");
  const auto group = groups.at(groups.json().begin().key());
  if (group.find("input_activations")) group.fail("quantized activations are not supported");
  const auto weights = group.at("weights");
  if (weights.at("num_bits").integer() != 4 || weights.at("type").string() != "int" ||
      !weights.boolean_or("symmetric", true) || weights.at("strategy").string() != "group" ||
      weights.find("actorder")) {
    weights.fail(
        "expected num_bits 4, type int, symmetric true, strategy group, actorder null; others are "
        "not supported");
  }
  out.format = StoredQuantization::Format::int4_groups;
  out.block_columns = weights.at("group_size").integer(8, kMaxHidden);
  if (out.block_columns % 8 != 0) weights.fail("group_size must be a multiple of 8");
}

}  // namespace

void read_quantization(ConfigReader& config, bool mxfp4, ModelConfig& out) {
  for (const std::string key : {"quantization_config", "compression_config"}) {
    if (!config.has(key)) continue;
    config.attempt([&] {
      const auto settings = config.node().at(key);
      const auto method = settings.string_or("quant_method", "?");
      if (method == "fp8") return read_fp8(settings, out.stored);
      if (method == "compressed-tensors") return read_compressed_tensors(settings, out.stored);
      if (method == "mxfp4" && mxfp4) {
        out.stored = {StoredQuantization::Format::mxfp4, 1, 32};
        return;
      }
      settings.fail("quantized weights (quant_method \"" + method + "\") are not supported for " +
                    out.family + "; supported are fp8, compressed-tensors" +
                    (mxfp4 ? ", mxfp4" : "") + "; or use the unquantized checkpoint");
    });
  }
}

}  // namespace preimage::lm
