#include "preimage/lm/checkpoint/checkpoint_identity.hpp"

#include <set>
#include <string_view>

#include "preimage/base/json_node.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 256 << 20;

constexpr std::string_view kNames[] = {
    "config.json", "generation_config.json", "adapter_config.json",
    // tokenizers
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json",
    "merges.txt", "chat_template.jinja", "chat_template.json",
    // sentence pipelines
    "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json",
    "sentence_roberta_config.json", "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json", "sentence_xlnet_config.json"};
// Any file with such an ending: ranks of a tiktoken tokenizer, SentencePiece models.
constexpr std::string_view kEndings[] = {".tiktoken", ".model", ".jinja"};

bool decides(const fs::path& path) {
  const auto name = path.filename().string();
  for (const auto& known : kNames) {
    if (name == known) return true;
  }
  for (const auto& ending : kEndings) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

void add_weights(const fs::path& folder, std::set<std::string>& files) {
  for (const char* name : {"model.safetensors", "adapter_model.safetensors"}) {
    if (fs::exists(folder / name)) files.insert(folder / name);
  }
  const auto index = folder / kIndexName;
  if (!fs::exists(index)) return;
  files.insert(index);
  const auto json = base::read_json(index, {.max_bytes = kMaxIndexBytes});
  const base::JsonNode root(json, index.string());
  const auto map = root.at("weight_map");
  if (!map.json().is_object()) map.wrong_type("an object of tensor name to file name");
  for (const auto& [tensor, file] : map.json().items())
    files.insert(folder / map.at(tensor).string());
}

void add_folder(const fs::path& folder, bool weights, std::set<std::string>& files) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.is_regular_file(ignored) && decides(entry.path())) files.insert(entry.path());
  }
  if (weights) add_weights(folder, files);
}

}  // namespace

std::vector<std::string> checkpoint_identity(const fs::path& folder, bool weights) {
  std::set<std::string> files;
  add_folder(folder, weights, files);
  add_folder(folder / "additional_chat_templates", false, files);
  if (fs::exists(folder / "modules.json")) {
    const auto json = base::read_json(folder / "modules.json");
    for (const auto& module : json) {
      const auto path = module.is_object() ? module.value("path", base::Json()) : base::Json();
      const auto name = path.is_string() ? path.get<std::string>() : std::string();
      if (!name.empty()) add_folder(folder / name, weights, files);
    }
  }
  return {files.begin(), files.end()};
}

}  // namespace preimage::lm
