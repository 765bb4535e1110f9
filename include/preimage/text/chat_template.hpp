// Chat templates of published checkpoints: the Jinja templates that a checkpoint ships, rendered as
// transformers renders them (jinja2 3.1 with trim_blocks, lstrip_blocks, loop controls and the
// `generation` block, in its immutable sandbox).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace preimage::text {

// JSON whose objects keep the order of their text: templates print objects in that order. An
// integer beyond 64 bits stands there as binary: its digits.
using OrderedJson = nlohmann::ordered_json;

// What a checkpoint ships.
struct ChatSources {
  std::map<std::string, std::string> templates;       // by name: "default", "tool_use", ...
  std::map<std::string, std::string> places;          // by name: the file, for messages
  std::map<std::string, std::string> special_tokens;  // "bos_token" -> its text, and so on
};

struct RenderedChat {
  std::string text;
  // "return_assistant_tokens_mask": true: which bytes of the text stand in {% generation %} blocks.
  bool wants_mask = false;
  std::vector<std::pair<size_t, size_t>> generated;
  std::vector<std::string> warnings;
};

// The templates of one checkpoint. Immutable; const calls may run on any number of threads at once.
class ChatTemplate {
 public:
  // ExitCode::bad_data: place, line, what was found: not a template, or a construct that is not
  // supported.
  explicit ChatTemplate(ChatSources sources);
  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // The text of a conversation. `request` is an object: "messages" (an array of objects, not
  // empty), and optionally what transformers' apply_chat_template takes:
  // - "tools", "documents", "add_generation_prompt" (default false), and any other variable of the
  //   template ("enable_thinking": false, ...), which wins over a special token of that name;
  // - "chat_template": the name of one of the checkpoint's templates, or a template itself; without
  //   it "tool_use" where there are tools and such a template, else "default";
  // - "continue_final_message": true, or the name of a field: the last message is left open;
  // - "return_assistant_tokens_mask".
  // Its other arguments (padding, truncation, tensors) are refused by name. Null members of
  // messages are dropped; "reasoning_content", "thinking" and "reasoning" of a message stand for
  // each other. Encode the result without adding special tokens: the template writes them itself.
  // ExitCode::bad_data, with the line of the template: what the template refuses, an error in it,
  // or more work, depth or output than the limits allow.
  RenderedChat render(const OrderedJson& request) const;

 private:
  struct Compiled;
  std::unique_ptr<const Compiled> compiled_;
};

// One template by itself; `place` starts every message.
ChatTemplate parse_chat_template(std::string_view source, const std::string& place);

// From chat_template.jinja and additional_chat_templates/*.jinja, or the "chat_template" of
// tokenizer_config.json (a text, or a list of named ones), or chat_template.json.
// ExitCode::bad_data, also where the folder has none: a base model, whose prompts are written out
// as text.
ChatTemplate load_chat_template(const std::filesystem::path& folder);

// A JSON object that keeps its order: a line of a request file. The text must be valid JSON without
// duplicate keys (base::parse_json accepted it). ExitCode::bad_data.
OrderedJson parse_ordered(std::string_view json, const std::string& place);

}  // namespace preimage::text
