#include "preimage/text/generation_config.hpp"

#include <algorithm>
#include <cmath>

#include "preimage/base/str.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;
using base::Json;

// Far above every vocabulary; an id beyond is a damaged file.
constexpr double kMaxId = 1ll << 40;

constexpr const char* kUsed[] = {"bos_token_id", "eos_token_id", "pad_token_id",
                                 "decoder_start_token_id"};

// Settings of a generation, with the value that leaves it as it is.
struct Setting {
  enum class For : uint8_t { all, sampling, beams };
  const char* key;
  const char* neutral;
  For kind = For::all;  // others are without it as if they were not there
};
using For = Setting::For;
constexpr Setting kSettings[] = {
    {"bad_words_ids", "null"},
    {"begin_suppress_tokens", "null"},
    {"constraints", "null"},
    {"diversity_penalty", "0.0", For::beams},
    {"do_sample", "false"},
    {"dola_layers", "null"},
    {"early_stopping", "false", For::beams},
    {"encoder_no_repeat_ngram_size", "0"},
    {"encoder_repetition_penalty", "1.0"},
    {"epsilon_cutoff", "0.0", For::sampling},
    {"eta_cutoff", "0.0", For::sampling},
    {"exponential_decay_length_penalty", "null"},
    {"force_words_ids", "null"},
    {"forced_bos_token_id", "null"},
    {"forced_eos_token_id", "null"},
    {"guidance_scale", "null"},
    {"length_penalty", "1.0", For::beams},
    {"min_length", "0"},
    {"min_new_tokens", "null"},
    {"min_p", "null", For::sampling},
    {"no_repeat_ngram_size", "0"},
    {"num_beam_groups", "1", For::beams},
    {"num_beams", "1"},
    {"penalty_alpha", "null"},
    {"remove_invalid_values", "false"},
    {"renormalize_logits", "false"},
    {"repetition_penalty", "1.0"},
    {"sequence_bias", "null"},
    {"stop_strings", "null"},
    {"suppress_tokens", "null"},
    {"temperature", "1.0", For::sampling},
    {"token_healing", "false"},
    {"top_h", "null", For::sampling},
    {"top_k", "50", For::sampling},
    {"top_p", "1.0", For::sampling},
    {"typical_p", "1.0", For::sampling},
    {"watermarking_config", "null"},
};

// How transformers computes, caches and returns, helpers for its speed, and how much is generated
// (which a line says): the tokens are the same.
constexpr const char* kWithoutEffect[] = {
    "_commit_hash",
    "_from_model_config",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_ensemble_weight",
    "assistant_lookbehind",
    "cache_config",
    "cache_implementation",
    "compile_config",
    "continuous_batching_config",
    "disable_compile",
    "is_assistant",
    "low_memory",
    "max_cache_len",
    "max_length",
    "max_matching_ngram_size",
    "max_new_tokens",
    "max_time",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "prefill_chunk_size",
    "prompt_lookup_num_tokens",
    "return_dict_in_generate",
    "speculation_type",
    "target_lookbehind",
    "transformers_version",
    "use_cache",
    "use_mtp",
};

const Setting* find_setting(std::string_view key) {
  const auto* it = std::find_if(std::begin(kSettings), std::end(kSettings),
                                [&](const Setting& known) { return key == known.key; });
  return it == std::end(kSettings) ? nullptr : it;
}

int64_t token_id(const base::JsonNode& node) {
  if (!node.json().is_number()) node.wrong_type("a token id");
  const double value = node.number();
  if (value != std::trunc(value) || std::abs(value) > kMaxId) node.wrong_type("a token id");
  return static_cast<int64_t>(value);
}

std::vector<std::string> settings_of(const Json& document) {
  const bool samples = document.contains("do_sample") && document["do_sample"] == true;
  const bool beams = document.contains("num_beams") && document["num_beams"] != 1;
  std::vector<std::string> out;
  for (const auto& [key, value] : document.items()) {
    if (value.is_null()) continue;
    const auto* setting = find_setting(key);
    if (setting == nullptr ? knows_generation_key(key)
                           : value == Json::parse(setting->neutral) ||
                                 (setting->kind == For::sampling && !samples) ||
                                 (setting->kind == For::beams && !beams)) {
      continue;
    }
    const auto text = value.is_number_float() ? base::shortest(value.get<double>()) : value.dump();
    out.push_back(key + " " + text.substr(0, 40));
  }
  return out;
}

}  // namespace

std::vector<int64_t> read_token_ids(const base::JsonNode& config, const std::string& key) {
  const auto node = config.find(key);
  if (!node) return {};
  std::vector<int64_t> out;
  const auto add = [&](int64_t id) {
    if (id >= 0) out.push_back(id);
  };
  if (!node->json().is_array()) {
    add(token_id(*node));
    return out;
  }
  for (size_t i = 0; i < node->size(); ++i) add(token_id(node->at(i)));
  return out;
}

std::optional<int64_t> read_token_id(const base::JsonNode& config, const std::string& key) {
  const auto node = config.find(key);
  if (!node) return std::nullopt;
  const int64_t id = token_id(*node);
  return id < 0 ? std::nullopt : std::optional(id);
}

GenerationConfig read_generation_config(const fs::path& folder) {
  const auto path = folder / "generation_config.json";
  GenerationConfig out;
  if (!fs::exists(path)) return out;
  out.here = true;
  const Json document = base::read_json(path, {.allow_non_finite = true});
  const base::JsonNode config(document, path.string());
  if (!document.is_object()) config.wrong_type("an object");
  out.eos = read_token_ids(config, "eos_token_id");
  out.bos = read_token_id(config, "bos_token_id");
  out.pad = read_token_id(config, "pad_token_id");
  out.decoder_start = read_token_id(config, "decoder_start_token_id");
  out.settings = settings_of(document);
  return out;
}

bool knows_generation_key(std::string_view key) {
  const auto is = [&](const char* known) { return key == known; };
  return std::any_of(std::begin(kUsed), std::end(kUsed), is) || find_setting(key) != nullptr ||
         std::any_of(std::begin(kWithoutEffect), std::end(kWithoutEffect), is);
}

}  // namespace preimage::text
