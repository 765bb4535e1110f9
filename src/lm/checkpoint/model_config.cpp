#include "preimage/lm/checkpoint/model_config.hpp"

#include "checkpoint/config_reader.hpp"
#include "families/defaults.hpp"
#include "families/families.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/text/generation_config.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using base::JsonNode;
using base::str;

// "Qwen3ForCausalLM", or "Qwen3Model" as a model without its head is saved.
bool has_architecture(const Family& family, const std::string& name) {
  const auto stem = family.architecture.substr(0, family.architecture.find("ForCausalLM"));
  return name == family.architecture || name == str(stem, "Model");
}

// Null when the family is unknown.
const Family* find_family(const JsonNode& config) {
  std::string architecture;
  if (const auto list = config.find("architectures"); list && list->size() > 0) {
    architecture = list->at(size_t{0}).string();
  }
  std::string type = config.string_or("model_type", "");
  if (type.empty() && architecture.empty() && is_original_gpt_oss(config)) type = "gpt_oss";
  for (const auto& family : decoder_families()) {
    const bool type_fits = type.empty() || type == family.model_type;
    const bool architecture_fits = architecture.empty() || has_architecture(family, architecture);
    if (type_fits && architecture_fits && !(type.empty() && architecture.empty())) return &family;
  }
  return nullptr;
}

// Throws when the family is unknown: nothing else of the file can then be judged.
const Family& named_family(const JsonNode& config) {
  if (const auto* family = find_family(config)) return *family;
  const auto list = config.find("architectures");
  const std::string architecture = list && list->size() > 0 ? list->at(size_t{0}).string() : "";
  config.fail(str("model_type \"", config.string_or("model_type", ""), "\", architecture \"",
                  architecture, "\" is not supported; supported are ",
                  base::join(supported_families(), ", ")));
}

// Ids of config.json, and of generation_config.json, which alone says what ends a generation where
// it is there. Ids that the model does not have are never said, so they are left out.
void read_special_tokens(ConfigReader& config, const std::filesystem::path& folder,
                         ModelConfig& out) {
  const int64_t vocab = out.vocab_size > 0 ? out.vocab_size : kMaxVocab;
  text::GenerationConfig generation;
  config.attempt([&] { generation = text::read_generation_config(folder); });
  config.attempt([&] {
    auto ids = text::read_token_ids(config.node(), "eos_token_id");
    out.eos_ids = generation.here ? generation.eos : std::move(ids);
    std::erase_if(out.eos_ids, [&](int64_t id) { return id >= vocab; });
  });
  const auto either = [&](std::optional<int64_t> first, const char* key) {
    const auto own = text::read_token_id(config.node(), key);
    const int64_t id = first.value_or(own.value_or(-1));
    return id < vocab ? id : -1;
  };
  config.attempt([&] { out.bos_id = either(generation.bos, "bos_token_id"); });
  config.attempt([&] { out.pad_id = either(generation.pad, "pad_token_id"); });
}

Json read_object(const std::filesystem::path& path) {
  // Python writes bare NaN; as null it is named with its key below.
  Json json = base::read_json(path, {.allow_non_finite = true});
  if (!json.is_object()) JsonNode(json, path.string()).wrong_type("an object");
  return json;
}

int64_t latent_attention_parameters(const ModelConfig& c) {
  const auto& l = *c.latent;
  const int64_t d = c.hidden_size, query = c.query_heads * c.head_dim;
  const int64_t to_query = l.query_rank > 0 ? l.query_rank * (d + 1 + query) : d * query;
  const int64_t to_latent = d * (l.kv_rank + l.rotary_dim) + l.kv_rank;
  const int64_t from_latent = l.kv_rank * c.query_heads * (l.plain_dim + l.value_dim);
  const int64_t bias = c.qkv_bias ? l.query_rank + l.kv_rank + l.rotary_dim + d : 0;
  return to_query + to_latent + from_latent + c.query_heads * l.value_dim * d + bias;
}

int64_t attention_parameters(const ModelConfig& c) {
  if (c.latent) return latent_attention_parameters(c);
  const int64_t d = c.hidden_size, query = c.query_heads * c.head_dim, kv = c.kv_heads * c.head_dim;
  const int64_t bias = (c.qkv_bias ? query + 2 * kv : 0) + (c.output_bias ? d : 0);
  return 2 * d * (query + kv) + bias + (c.sinks ? c.query_heads : 0) +
         (c.qk_norm ? 2 * c.head_dim : 0);
}

// Of one layer; of an expert layer with `experts` of its experts.
int64_t feed_forward_parameters(const ModelConfig& c, int64_t layer, int64_t experts) {
  const auto mlp = [&](int64_t inner) {
    return 3 * c.hidden_size * inner + (c.mlp_bias ? 2 * inner + c.hidden_size : 0);
  };
  if (!c.sparse(layer)) return mlp(c.intermediate_size);
  const auto& e = *c.experts;
  const int64_t router = e.experts * (c.hidden_size + 1);  // with a bias or a correction
  return router + experts * mlp(e.intermediate_size) +
         (e.shared_experts > 0 ? mlp(e.shared_experts * e.intermediate_size) : 0);
}

int64_t count_parameters(const ModelConfig& c, bool active) {
  int64_t experts = 0;
  if (c.experts) experts = active ? c.experts->experts_per_token : c.experts->experts;
  int64_t total = (c.tied_embeddings ? 1 : 2) * c.vocab_size * c.hidden_size + c.hidden_size;
  for (int64_t i = 0; i < c.layers; ++i)
    total += 2 * c.hidden_size + attention_parameters(c) + feed_forward_parameters(c, i, experts);
  return total;
}

}  // namespace

bool is_decoder_config(const JsonNode& config) {
  return find_family(config) != nullptr;
}

int64_t ModelConfig::parameters() const {
  return count_parameters(*this, false);
}
int64_t ModelConfig::active_parameters() const {
  return count_parameters(*this, true);
}

ModelConfig read_model_config(const std::filesystem::path& folder, int64_t context) {
  const auto path = folder / "config.json";
  const Json json = read_object(path);
  const JsonNode root(json, path.string());
  const Family& family = named_family(root);
  Findings found;
  ConfigReader config(
      json, path.string(), found,
      is_original_gpt_oss(root) ? Json::object() : config_defaults(family.model_type));

  ModelConfig out;
  out.family = family.model_type;
  out.context = context;
  family.read(config, out);
  out.stored_dtype = config.text("dtype", config.text("torch_dtype", ""));
  read_special_tokens(config, folder, out);
  config.keys().without_effect(idle_config_keys());
  config.keys().without_effect(idle_family_keys(family.model_type));
  config.finish();
  if (found.errors.empty() && out.parameters() > kMaxParameters) {
    config.refuse(
        str("these sizes make ", out.parameters(), " parameters, the limit is ", kMaxParameters));
  }
  if (!found.errors.empty()) throw base::data_error(base::join(found.errors, "\n"));
  out.notes = std::move(found.notes);
  return out;
}

}  // namespace preimage::lm
