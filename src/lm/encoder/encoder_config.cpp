#include "encoder/encoder_config.hpp"

#include "families/defaults.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/text/generation_config.hpp"

namespace preimage::lm {
namespace {

using base::str;

constexpr int64_t kMaxWidth = kMaxEncoderWidth;
constexpr int64_t kMaxEncoderParameters = 1'000'000'000'000;

base::Json read_object(const std::filesystem::path& path) {
  auto json = base::read_json(path);
  if (!json.is_object()) base::JsonNode(json, path.string()).wrong_type("an object");
  return json;
}

}  // namespace

void refuse_quantization(ConfigFile& file) {
  for (const std::string key : {"quantization_config", "compression_config"}) {
    if (file.has(key))
      file.refuse(key + ": quantized encoders are not supported; use the plain checkpoint");
  }
}

void require_family(ConfigFile& file, const std::string& family) {
  const std::string type = model_type_of(file.root());
  if (type == family) return;
  file.refuse(str("model_type \"", type, "\" is not supported here, expected \"", family, "\""));
  file.done();
}

ConfigFile::ConfigFile(const std::filesystem::path& path, const base::Json& defaults)
    : json_(read_object(path)), reader_(json_, path.string(), found_, defaults) {}

int64_t ConfigFile::size(const std::string& key, int64_t high, int64_t otherwise) {
  int64_t value = otherwise;
  if (otherwise == 0 || has(key)) reader_.integer(key, value, 1, high);
  return value;
}

double ConfigFile::number(const std::string& key, double otherwise, double low, double high) {
  double value = otherwise;
  reader_.optional_number(key, value, low, high);
  return value;
}

void ConfigFile::done() const {
  if (!found_.errors.empty()) throw base::data_error(base::join(found_.errors, "\n"));
}

std::vector<std::string> ConfigFile::notes() {
  reader_.finish();
  return found_.notes;
}

std::string model_type_of(const base::JsonNode& config) {
  const std::string type = config.string_or("model_type", "");
  if (!type.empty()) return type;
  const auto list = config.find("architectures");
  const std::string name = list && list->size() > 0 ? list->at(size_t{0}).string() : "";
  if (name.starts_with("T5")) return "t5";
  if (name.starts_with("Bert")) return "bert";
  if (name.starts_with("ModernBert")) return "modernbert";
  if (name == "InversionModel" || name == "CorrectorEncoderModel") return "inversion";
  return "";
}

std::string model_type_of_folder(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  std::error_code ignored;  // a name that no file can have
  if (!std::filesystem::exists(path, ignored)) return "";
  const auto json = read_object(path);
  return model_type_of(base::JsonNode(json, path.string()));
}

namespace {

// As in read_model_config: generation_config.json alone says what ends a generation where it is
// there.
void read_special_tokens(ConfigFile& file, const std::filesystem::path& folder, T5Config& out) {
  const int64_t vocab = out.vocab_size > 0 ? out.vocab_size : kMaxVocab;
  file.attempt([&] {
    const auto generation = text::read_generation_config(folder);
    const auto fits = [&](std::optional<int64_t> id, int64_t otherwise) {
      return id && *id < vocab ? *id : otherwise;
    };
    out.pad_id = fits(text::read_token_id(file.root(), "pad_token_id"), 0);
    out.start_id = fits(text::read_token_id(file.root(), "decoder_start_token_id"), out.pad_id);
    out.start_id = fits(generation.decoder_start, out.start_id);
    if (file.has("eos_token_id")) out.eos_ids = text::read_token_ids(file.root(), "eos_token_id");
    if (!out.eos_ids.empty()) out.separator_id = fits(out.eos_ids.front(), 1);
    if (generation.here) out.eos_ids = generation.eos;
    std::erase_if(out.eos_ids, [&](int64_t id) { return id >= vocab; });
  });
}

}  // namespace

T5Config read_t5_config(const std::filesystem::path& folder) {
  ConfigFile file(folder / "config.json", config_defaults("t5"));
  require_family(file, "t5");
  T5Config out;
  out.hidden_size = file.size("d_model", kMaxWidth);
  out.head_dim = file.size("d_kv", kMaxWidth);
  out.heads = file.size("num_heads", kMaxHeads);
  out.intermediate_size = file.size("d_ff", kMaxWidth);
  out.layers = file.size("num_layers", kMaxLayers);
  out.decoder_layers = out.layers;
  if (out.layers > 0) out.decoder_layers = file.size("num_decoder_layers", kMaxLayers, out.layers);
  out.vocab_size = file.size("vocab_size", kMaxVocab);
  out.buckets = file.size("relative_attention_num_buckets", 1 << 16, 32);
  out.max_distance = file.size("relative_attention_max_distance", 1 << 24, 128);
  if (out.buckets % 4 != 0 || out.max_distance <= out.buckets / 2) {
    file.refuse(str("relative_attention_num_buckets ", out.buckets,
                    " must be a multiple of 4, and relative_attention_max_distance ",
                    out.max_distance, " more than half of it"));
  }
  out.norm_eps = file.number("layer_norm_epsilon", 1e-6, 1e-30, 1);
  const auto activation = file.text("feed_forward_proj", "relu");
  out.gated = activation == "gated-gelu";
  if (activation != "relu" && activation != "gated-gelu") {
    file.refuse("feed_forward_proj \"" + activation +
                "\" is not supported, expected \"relu\" or \"gated-gelu\"");
  }
  // Saved beside feed_forward_proj, and used before it.
  if (file.boolean("is_gated_act", out.gated) != out.gated)
    file.refuse("is_gated_act contradicts feed_forward_proj \"" + activation + "\"");
  file.require("dense_act_fn", out.gated ? "gelu_new" : "relu");
  // transformers 5 ties every T5 and keeps the scaling under a key of its own; before, one key said
  // both.
  const bool tied = file.boolean("tie_word_embeddings", true);
  out.scaled_output = file.boolean("scale_decoder_outputs", tied);
  out.own_head = !tied;
  refuse_quantization(file);
  read_special_tokens(file, folder, out);
  file.keys().without_effect(idle_config_keys());
  file.keys().without_effect(idle_family_keys("t5"));
  file.keys().without_effect({"is_encoder_decoder", "is_decoder", "decoder_start_token_id"});
  file.done();
  out.notes = file.notes();
  if (out.parameters() > kMaxEncoderParameters) {
    file.refuse(str("these sizes make ", out.parameters(), " parameters, the limit is ",
                    kMaxEncoderParameters));
    file.done();
  }
  return out;
}

BertConfig read_bert_config(const std::filesystem::path& folder) {
  ConfigFile file(folder / "config.json", config_defaults("bert"));
  require_family(file, "bert");
  BertConfig out;
  out.hidden_size = file.size("hidden_size", kMaxWidth);
  out.intermediate_size = file.size("intermediate_size", kMaxWidth);
  out.layers = file.size("num_hidden_layers", kMaxLayers);
  out.heads = file.size("num_attention_heads", kMaxHeads);
  out.vocab_size = file.size("vocab_size", kMaxVocab);
  out.max_positions = file.size("max_position_embeddings", kMaxPositions);
  out.token_types = file.size("type_vocab_size", 1 << 16, 2);
  out.norm_eps = file.number("layer_norm_eps", 1e-12, 1e-30, 1);
  if (out.heads > 0 && out.hidden_size % out.heads != 0) {
    file.refuse(str("hidden_size ", out.hidden_size, " must be a multiple of num_attention_heads ",
                    out.heads));
  }
  file.require("hidden_act", "gelu");
  file.require("position_embedding_type", "absolute");
  if (file.boolean("is_decoder", false)) file.refuse("is_decoder is true, expected an encoder");
  refuse_other_attention(file.reader());
  refuse_quantization(file);
  file.keys().without_effect(idle_config_keys());
  file.keys().without_effect(idle_family_keys("bert"));
  file.done();
  out.notes = file.notes();
  return out;
}

bool is_t5_folder(const std::filesystem::path& folder) {
  return model_type_of_folder(folder) == "t5";
}

}  // namespace preimage::lm
