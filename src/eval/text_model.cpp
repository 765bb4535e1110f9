#include "preimage/eval/text_model.hpp"

namespace preimage::eval {

TextModel load_text_model(const std::filesystem::path& folder,
                          std::shared_ptr<const lm::Model> model, bool chat) {
  TextModel out{std::move(model), text::load_tokenizer(folder), nullptr};
  if (chat) out.chat = std::make_unique<const text::ChatTemplate>(text::load_chat_template(folder));
  return out;
}

std::vector<int64_t> prompt_ids(const TextModel& model, const std::string& prompt,
                                const std::string& system) {
  if (!model.chat) return model.tokenizer.encode(prompt);
  text::OrderedJson messages = text::OrderedJson::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  messages.push_back({{"role", "user"}, {"content", prompt}});
  const text::OrderedJson request = {{"messages", messages}, {"add_generation_prompt", true}};
  return model.tokenizer.encode(model.chat->render(request).text);
}

std::vector<int64_t> stop_ids(const TextModel& model) {
  const auto& named = model.tokenizer.special().stop;
  return named.empty() ? model.model->config().eos_ids : named;
}

}  // namespace preimage::eval
