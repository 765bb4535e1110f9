// quantization_config of config.json: how the checkpoint keeps its matrices. A setting that says
// how the quantizer went about its work changes nothing; one that changes what is computed is used,
// or refused by its name.
#include <algorithm>
#include <cctype>

#include "checkpoint/config_reader.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::JsonNode;
using base::str;

// Whether a setting is null, empty, or an object or list of such settings.
bool is_unset(const base::Json& value) {
  if (value.is_null()) return true;
  if (!value.is_structured()) return false;
  return std::all_of(value.begin(), value.end(),
                     [](const base::Json& one) { return is_unset(one); });
}

// As Python's lower() of the words of settings, which are ASCII.
std::string lowered(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void require_word(ConfigReader& settings, const std::string& key, const std::string& only) {
  if (const auto found = lowered(settings.text(key, only)); found != only)
    settings.refuse(str(key, " \"", found, "\" is not supported, expected \"", only, "\""));
}

void read_fp8(ConfigReader& settings, StoredQuantization& out) {
  settings.require_text("fmt", "e4m3");
  settings.attempt([&] {
    const auto scheme = lowered(settings.text("activation_scheme", "dynamic"));
    if (scheme != "dynamic") {
      settings.node().fail("activation_scheme \"" + scheme +
                           "\" is not supported: stored scales of activations are not used here; "
                           "expected \"dynamic\"");
    }
  });
  settings.require_text("expert_dtype", "fp8");
  if (const auto format = settings.text("scale_fmt", "float");
      format != "float" && format != "ue8m0")
    settings.refuse("scale_fmt \"" + format + "\" is not supported, expected float or ue8m0");
  settings.require_absent("modules_to_convert");
  // Which matrices are narrow, their dtype says; all are decoded, whatever `dequantize` asks.
  settings.keys().without_effect({"modules_to_not_convert", "ignored_layers", "dequantize"});
  out.format = StoredQuantization::Format::fp8_blocks;
  out.block_rows = out.block_columns = 128;
  if (!settings.holds("weight_block_size")) return;
  settings.attempt([&] {
    settings.keys().asked("weight_block_size");
    const auto blocks = settings.node().at("weight_block_size");
    if (blocks.size() != 2) blocks.fail("expected [rows, columns] of a block");
    out.block_rows = whole_number(blocks.at(size_t{0}), 1, kMaxHidden);
    out.block_columns = whole_number(blocks.at(size_t{1}), 1, kMaxHidden);
  });
}

// actorder "static" and "weight" (two words of one thing) say in which order the columns were
// quantized; "group" and "dynamic" store an index of the columns, and true means "group".
void require_stored_order(const JsonNode& weights) {
  const auto order = weights.find("actorder");
  if (!order || (order->json().is_boolean() && !order->boolean())) return;
  if (order->json().is_string()) {
    const auto word = lowered(order->string());
    if (word == "static" || word == "weight") return;
  }
  order->fail(str("found ", order->json().dump(),
                  ", supported are null, \"static\" and \"weight\": columns in their own order"));
}

void read_group(ConfigReader& group, StoredQuantization& out) {
  for (const char* key : {"input_activations", "output_activations"}) {
    if (const auto found = group.find(key))
      group.refuse(str(key, ": quantized activations are not supported, expected null"));
  }
  group.require_text("format", "pack-quantized");
  group.keys().without_effect({"targets"});
  group.attempt([&] {
    group.keys().asked("weights");
    const auto node = group.node().at("weights");
    ConfigReader weights(node.json(), node.place(), group.findings());
    int64_t bits = 4;
    weights.whole_number("num_bits", bits, 1, 32);
    if (bits != 4) weights.refuse(str("num_bits ", bits, " is not supported, expected 4"));
    require_word(weights, "type", "int");
    require_word(weights, "strategy", "group");
    weights.require_boolean("symmetric", true);
    if (const auto dynamic = weights.find("dynamic");
        dynamic && (!dynamic->json().is_boolean() || dynamic->boolean()))
      weights.refuse("dynamic: scales made at run time are not supported, expected false");
    weights.require_absent("block_structure");
    weights.keys().asked("actorder");
    weights.attempt([&] { require_stored_order(node); });
    weights.keys().without_effect({"observer", "observer_kwargs", "scale_dtype", "zp_dtype"});
    out.format = StoredQuantization::Format::int4_groups;
    weights.whole_number("group_size", out.block_columns, 8, kMaxHidden);
    if (out.block_columns % 8 != 0) weights.refuse("group_size must be a multiple of 8");
    weights.finish();
  });
  group.finish();
}

void read_compressed_tensors(ConfigReader& settings, StoredQuantization& out) {
  settings.attempt([&] {
    if (const auto format = settings.text("format", "?"); format != "pack-quantized")
      settings.node().fail("format \"" + format +
                           "\" is not supported, expected \"pack-quantized\"");
    settings.keys().asked("config_groups");
    const auto groups = settings.node().at("config_groups");
    if (!groups.json().is_object() || groups.json().size() != 1)
      groups.fail("expected one group of settings");
    const auto node = groups.at(groups.json().begin().key());
    ConfigReader group(node.json(), node.place(), settings.findings());
    read_group(group, out);
  });
  settings.require_absent("kv_cache_scheme");
  for (const char* key : {"sparsity_config", "moe_sparsity_config", "transform_config"}) {
    const auto found = settings.find(key);
    const bool dense = found && found->json().is_object() &&
                       found->json().value("format", base::Json()) == base::Json("dense");
    if (found && !dense && !is_unset(found->json()))
      settings.refuse(str(key, " is not supported, expected null"));
  }
  // Which matrices are narrow, the tensors' names say.
  settings.keys().without_effect({"quantization_status", "global_compression_ratio", "ignore",
                                  "version", "run_compressed", "dequantize",
                                  "use_optimized_inference"});
}

void read_method(ConfigReader& settings, bool mxfp4, ModelConfig& out) {
  const auto method = settings.text("quant_method", "?");
  if (method == "fp8") {
    read_fp8(settings, out.stored);
  } else if (method == "compressed-tensors") {
    read_compressed_tensors(settings, out.stored);
  } else if (method == "mxfp4" && mxfp4) {
    out.stored = {StoredQuantization::Format::mxfp4, 1, 32};
    settings.keys().without_effect({"modules_to_not_convert", "dequantize"});
  } else {
    settings.node().fail("quantized weights (quant_method \"" + method +
                         "\") are not supported for " + out.family +
                         "; supported are fp8, compressed-tensors" + (mxfp4 ? ", mxfp4" : "") +
                         "; or use the unquantized checkpoint");
  }
  settings.finish();
}

}  // namespace

void read_quantization(ConfigReader& config, bool mxfp4, ModelConfig& out) {
  for (const std::string key : {"quantization_config", "compression_config"}) {
    const auto found = config.find(key);
    if (!found) continue;
    config.attempt([&] {
      if (!found->json().is_object()) found->wrong_type("an object or null");
      ConfigReader settings(found->json(), found->place(), config.findings());
      read_method(settings, mxfp4, out);
    });
  }
}

}  // namespace preimage::lm
