// A language model with its texts: what reads a prompt in words and answers in words.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "preimage/lm/model.hpp"
#include "preimage/text/chat_template.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

namespace preimage::eval {

struct TextModel {
  std::shared_ptr<const lm::Model> model;
  text::Tokenizer tokenizer;
  std::unique_ptr<const text::ChatTemplate> chat;  // null: prompts are read as plain text
};

// `chat`: prompts are messages in the checkpoint's chat template. Throws what lm::load_model and
// the readers of text throw.
TextModel load_text_model(const std::filesystem::path& folder,
                          std::shared_ptr<const lm::Model> model, bool chat);

// What the model reads: the prompt, or, with a chat template, the conversation of a system message
// ("": the template's own) and the prompt as the user's.
std::vector<int64_t> prompt_ids(const TextModel& model, const std::string& prompt,
                                const std::string& system = "");

// The tokens that end an answer: the tokenizer's, or the model's where it names none.
std::vector<int64_t> stop_ids(const TextModel& model);

}  // namespace preimage::eval
