// Reading the chat templates of a checkpoint folder.
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/text/chat_template.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kConfigBytes = 16ull << 20;
constexpr const char* kNamedTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};

void put(ChatSources& sources, const std::string& name, const std::string& text,
         const std::string& place) {
  sources.templates.emplace(name, text);
  sources.places.emplace(name, place);
}

// "chat_template": one text, or a list of {"name", "template"}.
void read_templates(ChatSources& sources, const base::JsonNode& node) {
  if (node.json().is_string()) return put(sources, "default", node.string(), node.place());
  for (size_t i = 0; i < node.size(); ++i) {
    const auto source = node.at(i).at("template");
    put(sources, node.at(i).at("name").string(), source.string(), source.place());
  }
}

void read_tokens(ChatSources& sources, const base::JsonNode& config) {
  for (const char* name : kNamedTokens) {
    const auto node = config.find(name);
    if (!node) continue;
    const auto text = node->json().is_object() ? node->at("content") : *node;
    sources.special_tokens.emplace(name, text.string());
  }
}

void read_config(ChatSources& sources, const fs::path& path, bool templates) {
  base::JsonLimits limits;
  limits.max_bytes = kConfigBytes;
  const base::Json document = base::read_json(path, limits);
  const base::JsonNode config(document, path.string());
  read_tokens(sources, config);
  const auto node = config.find("chat_template");
  if (node && templates) read_templates(sources, *node);
}

void read_jinja_files(ChatSources& sources, const fs::path& folder) {
  const auto file = folder / "chat_template.jinja";
  if (fs::exists(file)) put(sources, "default", base::read_file(file, kConfigBytes), file.string());
  const auto more = folder / "additional_chat_templates";
  if (!fs::is_directory(more)) return;
  for (const auto& entry : fs::directory_iterator(more)) {
    const auto& path = entry.path();
    if (path.extension() != ".jinja") continue;
    put(sources, path.stem().string(), base::read_file(path, kConfigBytes), path.string());
  }
}

}  // namespace

ChatTemplate load_chat_template(const fs::path& folder) {
  ChatSources sources;
  read_jinja_files(sources, folder);
  // Files of their own win over entries of the configuration.
  for (const char* name : {"chat_template.json", "tokenizer_config.json"}) {
    const bool wanted = sources.templates.empty();
    if (fs::exists(folder / name)) read_config(sources, folder / name, wanted);
  }
  if (fs::exists(folder / "special_tokens_map.json")) {
    read_config(sources, folder / "special_tokens_map.json", false);
  }
  if (sources.templates.empty()) {
    throw base::data_error(
        folder.string() +
        ": has no chat template (no chat_template.jinja, none in tokenizer_config.json); a base "
        "model takes its prompt as text");
  }
  return ChatTemplate(std::move(sources));
}

}  // namespace preimage::text
