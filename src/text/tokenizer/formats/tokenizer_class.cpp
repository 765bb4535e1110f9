// Settings of a tokenizer's class that overrule tokenizer.json: the classes of BERT and GPT-2 set
// them anew when they load the file.
#include <algorithm>

#include "preimage/base/file.hpp"
#include "tokenizer/formats/tokenizer_sources.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;
using base::Json;

constexpr std::string_view kBert[] = {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer",
                                      "MPNetTokenizer", "MobileBertTokenizer"};
constexpr std::string_view kByteLevel[] = {"BartTokenizer", "GPT2Tokenizer", "GPTNeoXTokenizer",
                                           "Qwen2Tokenizer", "RobertaTokenizer"};

template <size_t size>
bool holds(const std::string_view (&names)[size], std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

// The class that tokenizer_config.json names, else that of the model's family.
std::string class_name(const fs::path& folder, const TokenizerConfig& config) {
  std::string name = config.tokenizer_class;
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  const auto path = folder / "config.json";
  if (!name.empty() || !fs::exists(path)) return name;
  const Json document = base::read_json(path, {.allow_non_finite = true});
  const std::string type = document.is_object()
                               ? base::JsonNode(document, path.string()).string_or("model_type", "")
                               : "";
  return type == "bert" || type == "distilbert" ? "BertTokenizer" : "";
}

void set(Json& object, const char* key, const Json& value, const TokenizerConfig& config,
         std::vector<std::string>& warnings) {
  if (object.value(key, Json()) == value) return;
  object[key] = value;
  warnings.push_back(config.place + ": its tokenizer_class sets \"" + key +
                     "\" of tokenizer.json to " + value.dump() + ", as in transformers");
}

void set_prefix_space(Json& stage, const Json& value, const TokenizerConfig& config,
                      std::vector<std::string>& warnings) {
  if (!stage.is_object()) return;
  if (stage.value("type", "") == "ByteLevel") {
    set(stage, "add_prefix_space", value, config, warnings);
  } else if (stage.contains("pretokenizers") && stage["pretokenizers"].is_array()) {
    for (auto& one : stage["pretokenizers"]) set_prefix_space(one, value, config, warnings);
  }
}

}  // namespace

void apply_class(const fs::path& folder, const TokenizerConfig& config, Json& document,
                 std::vector<std::string>& warnings) {
  if (!document.is_object()) return;
  const auto name = class_name(folder, config);
  const auto node = config.node();
  if (holds(kBert, name) && document.contains("normalizer") && document["normalizer"].is_object() &&
      document["normalizer"].value("type", "") == "BertNormalizer") {
    auto& normalizer = document["normalizer"];
    const auto accents = node.find("strip_accents");
    set(normalizer, "lowercase", node.boolean_or("do_lower_case", true), config, warnings);
    set(normalizer, "handle_chinese_chars", node.boolean_or("tokenize_chinese_chars", true), config,
        warnings);
    set(normalizer, "strip_accents", accents ? Json(accents->boolean()) : Json(), config, warnings);
  }
  // Published before that class cut by a Metaspace: the file says how its model was trained.
  if (name == "LlamaTokenizer" && document.contains("normalizer") &&
      document["normalizer"].is_object() && document["pre_tokenizer"].is_null()) {
    warnings.push_back(
        config.place +
        ": text is normalized and cut as tokenizer.json says; LlamaTokenizer of "
        "transformers 5 does it in its own way (spaces in front, text behind special "
        "tokens)");
  }
  if (holds(kByteLevel, name) && document.contains("pre_tokenizer")) {
    set_prefix_space(document["pre_tokenizer"], node.boolean_or("add_prefix_space", false), config,
                     warnings);
  }
}

}  // namespace preimage::text
