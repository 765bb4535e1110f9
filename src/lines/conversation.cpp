#include "preimage/lines/conversation.hpp"

#include "preimage/base/error.hpp"

namespace preimage::lines {

std::vector<std::string> Conversations::fields() {
  return {"messages",
          "tools",
          "documents",
          "add_generation_prompt",
          "chat_template",
          "continue_final_message",
          "return_assistant_tokens_mask"};
}

text::RenderedChat Conversations::rendered(const std::filesystem::path& folder,
                                           const base::JsonNode& line, std::string_view raw,
                                           bool answer_next) {
  std::call_once(read_, [&] { template_ = text::load_chat_template(folder); });
  try {
    auto request = text::parse_ordered(raw, line.place());
    // A message that stays open is the answer's beginning.
    const auto open = request.find("continue_final_message");
    const bool continues =
        open != request.end() && !open->is_null() && *open != false && *open != "";
    if (!request.contains("add_generation_prompt"))
      request["add_generation_prompt"] = answer_next && !continues;
    auto chat = template_->render(request);
    const std::scoped_lock lock(mutex_);
    warnings_.insert(chat.warnings.begin(), chat.warnings.end());
    return chat;
  } catch (const base::Error& error) {
    throw base::Error(error.code(), line.place() + ": " + error.what());
  }
}

std::vector<std::string> Conversations::warnings() const {
  const std::scoped_lock lock(mutex_);
  return {warnings_.begin(), warnings_.end()};
}

std::string Conversations::prompt(const std::filesystem::path& folder, const base::JsonNode& line,
                                  std::string_view raw, bool answer_next) {
  auto chat = rendered(folder, line, raw, answer_next);
  if (chat.wants_mask) {
    line.fail(
        "return_assistant_tokens_mask is for `tokenize`: here nothing of the conversation is "
        "returned");
  }
  return std::move(chat.text);
}

// The loop of apply_chat_template: both lists are walked once, in their order.
std::vector<int> assistant_mask(const text::Encoding& encoding,
                                const std::vector<std::pair<size_t, size_t>>& generated) {
  std::vector<int> out(encoding.ids.size(), 0);
  size_t next = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    const auto& [begin, end] = encoding.offsets[i];
    while (next < generated.size() && begin >= generated[next].second) ++next;
    if (next == generated.size()) break;
    if (end > generated[next].first) out[i] = 1;
  }
  return out;
}

}  // namespace preimage::lines
