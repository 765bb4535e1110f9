// Lines that hold a conversation: the text that the checkpoint's chat template makes of it.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json_node.hpp"
#include "preimage/text/chat_template.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::lines {

class Conversations {
 public:
  // Fields of a line that only a template reads.
  static std::vector<std::string> fields();

  // `raw` is the line as it was written: templates print objects in its order. All its fields are
  // arguments of apply_chat_template or variables of the template; `answer_next` is the value of
  // add_generation_prompt where the line has none and does not go on with its last message. Special
  // tokens are part of the text: encode it without adding any. Thread-safe; the template of
  // `folder` is read when the first conversation asks for it.
  text::RenderedChat rendered(const std::filesystem::path& folder, const base::JsonNode& line,
                              std::string_view raw, bool answer_next);
  // What there was to say about the templates so far, each once. Thread-safe.
  std::vector<std::string> warnings() const;
  // The text alone, for what a model goes on with.
  std::string prompt(const std::filesystem::path& folder, const base::JsonNode& line,
                     std::string_view raw, bool answer_next);

 private:
  std::once_flag read_;
  mutable std::mutex mutex_;
  std::set<std::string> warnings_;
  std::optional<text::ChatTemplate> template_;
};

// For each token whether it overlaps one of the stretches: 1, else 0.
std::vector<int> assistant_mask(const text::Encoding& encoding,
                                const std::vector<std::pair<size_t, size_t>>& generated);

}  // namespace preimage::lines
