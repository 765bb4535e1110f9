#include "encoder/encoder_config.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lm {
namespace {

using base::str;

// Far above every published encoder; a value beyond is a damaged or hostile file.
constexpr int64_t kMaxWidth = 1 << 20, kMaxLayers = 1000, kMaxHeads = 4096;
constexpr int64_t kMaxVocab = 1 << 24, kMaxPositions = 1 << 24;
constexpr int64_t kMaxParameters = 1'000'000'000'000;

base::Json read_object(const std::filesystem::path& path) {
  auto json = base::read_json(path);
  if (!json.is_object()) base::JsonNode(json, path.string()).wrong_type("an object");
  return json;
}

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

}  // namespace

ConfigFile::ConfigFile(const std::filesystem::path& path)
    : json_(read_object(path)), root_(json_, path.string()) {}

template <class Reading>
void ConfigFile::attempt(const Reading& reading) {
  try {
    reading();
  } catch (const base::Error& error) {
    errors_.push_back(error.what());
  }
}

int64_t ConfigFile::size(const std::string& key, int64_t high, int64_t otherwise) {
  int64_t value = otherwise;
  attempt([&] {
    if (otherwise == 0 || has(key)) value = root_.at(key).integer(1, high);
  });
  return value;
}

double ConfigFile::number(const std::string& key, double otherwise, double low, double high) {
  double value = otherwise;
  attempt([&] {
    const auto given = root_.find(key);
    if (!given) return;
    value = given->number();
    // The negation also catches NaN.
    if (!(value >= low && value <= high))
      given->fail(str("found ", value, ", allowed are ", low, " to ", high));
  });
  return value;
}

bool ConfigFile::boolean(const std::string& key, bool otherwise) {
  attempt([&] { otherwise = root_.boolean_or(key, otherwise); });
  return otherwise;
}

std::string ConfigFile::text(const std::string& key, const std::string& otherwise) {
  std::string value = otherwise;
  attempt([&] { value = root_.string_or(key, otherwise); });
  return value;
}

std::vector<int64_t> ConfigFile::ids(const std::string& key, std::vector<int64_t> otherwise,
                                     int64_t limit) {
  attempt([&] {
    const auto given = root_.find(key);
    if (!given) return;
    std::vector<int64_t> found;
    if (given->json().is_array()) {
      for (size_t i = 0; i < given->size(); ++i)
        found.push_back(given->at(i).integer(0, limit - 1));
    } else {
      found.push_back(given->integer(0, limit - 1));
    }
    otherwise = found;
  });
  return otherwise;
}

void ConfigFile::require(const std::string& key, const std::string& only) {
  const auto found = text(key, only);
  if (found != only) refuse(str(key, " \"", found, "\" is not supported, expected \"", only, "\""));
}

void ConfigFile::done() const {
  if (!errors_.empty()) throw base::data_error(base::join(errors_, "\n"));
}

std::string model_type_of(const base::JsonNode& config) {
  const std::string type = config.string_or("model_type", "");
  if (!type.empty()) return type;
  const auto list = config.find("architectures");
  const std::string name = list && list->size() > 0 ? list->at(size_t{0}).string() : "";
  if (name.starts_with("T5")) return "t5";
  if (name.starts_with("Bert")) return "bert";
  if (name == "InversionModel" || name == "CorrectorEncoderModel") return "inversion";
  return "";
}

std::string model_type_of_folder(const std::filesystem::path& folder) {
  const auto path = folder / "config.json";
  if (!std::filesystem::exists(path)) return "";
  const auto json = read_object(path);
  return model_type_of(base::JsonNode(json, path.string()));
}

T5Config read_t5_config(const std::filesystem::path& folder) {
  ConfigFile file(folder / "config.json");
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
  // transformers 5 ties every T5 and keeps the scaling under a key of its own; before, one key said
  // both.
  const bool tied = file.boolean("tie_word_embeddings", true);
  out.scaled_output = file.boolean("scale_decoder_outputs", tied);
  out.own_head = !tied;
  refuse_quantization(file);
  const int64_t limit = out.vocab_size > 0 ? out.vocab_size : kMaxVocab;
  out.pad_id = file.ids("pad_token_id", {0}, limit).front();
  out.start_id = file.ids("decoder_start_token_id", {out.pad_id}, limit).front();
  out.eos_ids = file.ids("eos_token_id", {1}, limit);
  file.done();
  if (std::filesystem::exists(folder / "generation_config.json")) {
    ConfigFile generation(folder / "generation_config.json");
    out.eos_ids = generation.ids("eos_token_id", out.eos_ids, limit);
    out.start_id = generation.ids("decoder_start_token_id", {out.start_id}, limit).front();
    generation.done();
  }
  if (out.parameters() > kMaxParameters) {
    file.refuse(
        str("these sizes make ", out.parameters(), " parameters, the limit is ", kMaxParameters));
    file.done();
  }
  return out;
}

BertConfig read_bert_config(const std::filesystem::path& folder) {
  ConfigFile file(folder / "config.json");
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
  refuse_quantization(file);
  file.done();
  return out;
}

bool is_t5_folder(const std::filesystem::path& folder) {
  return model_type_of_folder(folder) == "t5";
}

}  // namespace preimage::lm
