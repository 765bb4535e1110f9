// config.json of a ModernBERT.
#include "encoder/encoder_config.hpp"
#include "encoder/modernbert.hpp"
#include "families/defaults.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::str;

constexpr const char* kGlobal = "full_attention";
constexpr const char* kLocal = "sliding_attention";

// Which layers see a window: layer_types, or all but every third (global_attn_every_n_layers).
void read_layer_kinds(ConfigFile& file, ModernBertConfig& out) {
  int64_t every = 3;
  if (file.has("global_attn_every_n_layers"))
    every = file.size("global_attn_every_n_layers", kMaxLayers);
  const auto types = file.find("layer_types");
  file.attempt([&] {
    if (types && types->size() != static_cast<size_t>(out.layers))
      types->fail(
          str("has ", types->size(), " entries, expected one for each of ", out.layers, " layers"));
    for (int64_t i = 0; i < out.layers; ++i) {
      if (!types) {
        out.windowed.push_back(i % every != 0);
        continue;
      }
      const auto type = types->at(static_cast<size_t>(i));
      if (type.string() != kLocal && type.string() != kGlobal && type.string() != "attention")
        type.fail("found \"" + type.string() +
                  "\", supported are full_attention and "
                  "sliding_attention");
      out.windowed.push_back(type.string() == kLocal);
    }
  });
}

// The base of one kind of layers: of rope_parameters, else the older key, else the class's own.
double theta_of(ConfigFile& file, const char* kind, const char* older, double otherwise) {
  const double by_key = file.number(older, otherwise, 1.0001, 1e12);
  double theta = by_key;
  const auto all = file.find("rope_parameters");
  if (!all) return theta;
  file.attempt([&] {
    const auto settings = all->find(kind);
    if (!settings) return;
    ConfigReader rope(settings->json(), settings->place(), file.reader().findings());
    rope.optional_number("rope_theta", theta, 1.0001, 1e12);
    const auto type = rope.text("rope_type", rope.text("type", "default"));
    if (type != "default")
      rope.refuse("rope_type \"" + type + "\" is not supported here, expected \"default\"");
    rope.keys().without_effect({"partial_rotary_factor"});
    rope.finish();
  });
  return theta;
}

}  // namespace

ModernBertConfig read_modernbert_config(const std::filesystem::path& folder) {
  ConfigFile file(folder / "config.json", config_defaults("modernbert"));
  require_family(file, "modernbert");
  ModernBertConfig out;
  out.hidden_size = file.size("hidden_size", kMaxEncoderWidth);
  out.intermediate_size = file.size("intermediate_size", kMaxEncoderWidth);
  out.layers = file.size("num_hidden_layers", kMaxLayers);
  out.heads = file.size("num_attention_heads", kMaxHeads);
  out.vocab_size = file.size("vocab_size", kMaxVocab);
  out.max_positions = file.size("max_position_embeddings", kMaxEncoderPositions);
  out.norm_eps = file.number("norm_eps", 1e-5, 1e-30, 1);
  out.norm_bias = file.boolean("norm_bias", false);
  out.attention_bias = file.boolean("attention_bias", false);
  out.mlp_bias = file.boolean("mlp_bias", false);
  out.reach = file.size("local_attention", 2 * kMaxEncoderPositions) / 2;
  if (out.heads > 0 && out.hidden_size % (2 * out.heads) != 0) {
    file.refuse(str("hidden_size ", out.hidden_size, " must be an even multiple of ",
                    "num_attention_heads ", out.heads, ": the rotary embedding halves a head"));
  }
  file.require("hidden_activation", "gelu");
  read_layer_kinds(file, out);
  out.theta = theta_of(file, kGlobal, "global_rope_theta", 160000);
  out.local_theta = theta_of(file, kLocal, "local_rope_theta", 10000);
  file.require_absent("rope_scaling");
  refuse_other_attention(file.reader());
  refuse_quantization(file);
  file.keys().without_effect(idle_config_keys());
  file.keys().without_effect(idle_family_keys("modernbert"));
  // Of older files: the names of what the class fixes, or has under another key.
  file.keys().without_effect({"layer_norm_eps", "position_embedding_type", "sliding_window"});
  file.done();
  out.notes = file.notes();
  return out;
}

}  // namespace preimage::lm
