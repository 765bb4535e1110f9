#include "conversation.hpp"

#include "preimage/base/error.hpp"

namespace preimage::tools {

std::vector<std::string> Conversations::fields() {
  return {"messages", "tools", "documents", "add_generation_prompt"};
}

std::string Conversations::text(const std::filesystem::path& folder, const base::JsonNode& line,
                                std::string_view raw, bool answer_next) {
  std::call_once(read_, [&] { template_ = text::load_chat_template(folder); });
  try {
    auto request = text::parse_ordered(raw, line.place());
    if (!request.contains("add_generation_prompt")) request["add_generation_prompt"] = answer_next;
    return template_->render(request);
  } catch (const base::Error& error) {
    throw base::Error(error.code(), line.place() + ": " + error.what());
  }
}

}  // namespace preimage::tools
