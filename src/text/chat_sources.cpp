// Reading the chat templates of a checkpoint folder.
#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/text/chat_template.hpp"
#include "tokenizer/formats/tokenizer_config.hpp"

namespace preimage::text {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kTemplateBytes = 16ull << 20;

void put(ChatSources& sources, const std::string& name, const std::string& text,
         const std::string& place) {
  sources.templates.emplace(name, text);
  sources.places.emplace(name, place);
}

void read_jinja_files(ChatSources& sources, const fs::path& folder) {
  const auto file = folder / "chat_template.jinja";
  if (fs::exists(file))
    put(sources, "default", base::read_file(file, kTemplateBytes), file.string());
  const auto more = folder / "additional_chat_templates";
  if (!fs::is_directory(more)) return;
  for (const auto& entry : fs::directory_iterator(more)) {
    const auto& path = entry.path();
    if (path.extension() != ".jinja") continue;
    put(sources, path.stem().string(), base::read_file(path, kTemplateBytes), path.string());
  }
}

// The older file of processors: {"chat_template": "..."}.
void read_processor_file(ChatSources& sources, const fs::path& path) {
  if (!fs::exists(path)) return;
  const base::Json document = base::read_json(path, {.max_bytes = kTemplateBytes});
  const base::JsonNode config(document, path.string());
  const auto node = config.find("chat_template");
  if (node) put(sources, "default", node->string(), node->place());
}

}  // namespace

ChatTemplate load_chat_template(const fs::path& folder) {
  const auto config = read_tokenizer_config(folder);
  ChatSources sources;
  for (const auto& [name, token] : config.named) sources.special_tokens[name] = token.content;
  read_jinja_files(sources, folder);
  // Files of their own win over entries of the configuration.
  if (sources.templates.empty()) {
    for (const auto& [name, text] : config.templates)
      put(sources, name, text, config.place + ": chat_template");
  }
  if (sources.templates.empty()) read_processor_file(sources, folder / "chat_template.json");
  if (sources.templates.empty()) {
    throw base::data_error(
        folder.string() +
        ": has no chat template (no chat_template.jinja, none in tokenizer_config.json); a base "
        "model takes its prompt as text");
  }
  return ChatTemplate(std::move(sources));
}

}  // namespace preimage::text
