#include "preimage/lm/checkpoint/model_config.hpp"

#include "checkpoint/config_reader.hpp"
#include "families/families.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::Json;
using base::JsonNode;
using base::str;

// Throws when the family is unknown: nothing else of the file can then be judged.
const Family& named_family(const JsonNode& config) {
  std::string architecture;
  if (const auto list = config.find("architectures"); list && list->size() > 0) {
    architecture = list->at(size_t{0}).string();
  }
  std::string type = config.string_or("model_type", "");
  if (type.empty() && architecture.empty() && is_original_gpt_oss(config)) type = "gpt_oss";
  for (const auto& family : decoder_families()) {
    const bool type_fits = type.empty() || type == family.model_type;
    const bool architecture_fits = architecture.empty() || architecture == family.architecture;
    if (type_fits && architecture_fits && !(type.empty() && architecture.empty())) return family;
  }
  config.fail(str("model_type \"", type, "\", architecture \"", architecture,
                  "\" is not supported; supported are ", base::join(supported_families(), ", ")));
}

std::vector<int64_t> ids_of(const JsonNode& value, int64_t vocab_size) {
  if (!value.json().is_array()) return {value.integer(0, vocab_size - 1)};
  std::vector<int64_t> ids;
  for (size_t i = 0; i < value.size(); ++i) ids.push_back(value.at(i).integer(0, vocab_size - 1));
  return ids;
}

// Called for config.json and then for generation_config.json, whose values win.
void read_special_tokens(ConfigReader& file, ModelConfig& out) {
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

int64_t ModelConfig::parameters() const {
  return count_parameters(*this, false);
}
int64_t ModelConfig::active_parameters() const {
  return count_parameters(*this, true);
}

ModelConfig read_model_config(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  const Json json = read_object(path);
  std::vector<std::string> errors;
  ConfigReader config(json, path.string(), errors);
  const Family& family = named_family(config.node());

  ModelConfig out;
  out.family = family.model_type;
  family.read(config, out);
  out.stored_dtype = config.text("dtype", config.text("torch_dtype", ""));
  read_special_tokens(config, out);
  const auto generation_path = folder / "generation_config.json";
  if (std::filesystem::exists(generation_path)) {
    const Json generation_json = read_object(generation_path);
    ConfigReader generation(generation_json, generation_path.string(), errors);
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
