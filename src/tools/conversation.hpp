// Lines that hold a conversation: the text that the checkpoint's chat template makes of it.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/text/chat_template.hpp"

namespace preimage::tools {

class Conversations {
 public:
  // Fields of a line that only a template reads.
  static std::vector<std::string> fields();

  // `raw` is the line as it was written: templates print objects in its order. All its fields are
  // variables of the template; `answer_next` is the value of add_generation_prompt where the line
  // has none. Special tokens are part of the text: encode it without adding any. Thread-safe; the
  // template of `folder` is read when the first conversation asks for it.
  std::string text(const std::filesystem::path& folder, const base::JsonNode& line,
                   std::string_view raw, bool answer_next);

 private:
  std::once_flag read_;
  std::optional<text::ChatTemplate> template_;
};

}  // namespace preimage::tools
