#include "chat_request.hpp"

#include <algorithm>

#include "jinja/text.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text {
namespace {

constexpr const char* kReasoning[] = {"reasoning_content", "thinking", "reasoning"};
constexpr std::string_view kMark = "CONTINUE_FINAL_MESSAGE_TAG ";

// Arguments of apply_chat_template that say what it returns, with the value that is ours.
struct Fixed {
  const char* name;
  const char* value;
};
constexpr Fixed kFixed[] = {
    {"conversation", "null"}, {"max_length", "null"},     {"padding", "false"},
    {"return_dict", "true"},  {"return_tensors", "null"}, {"sanitize_control_tokens", "false"},
    {"tokenize", "true"},     {"tokenizer_kwargs", "{}"}, {"truncation", "false"},
};

// Python's bool().
bool truth(const OrderedJson& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value.get<double>() != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.is_null() && (value.is_binary() || !value.empty());
}

std::string shown(const OrderedJson& value) {
  return value.is_binary() ? "an integer" : value.dump().substr(0, 80);
}

bool is_fixed(const std::string& name, const OrderedJson& value) {
  for (const auto& fixed : kFixed) {
    if (name != fixed.name) continue;
    if (value.is_null() || value == OrderedJson::parse(fixed.value)) return true;
    throw base::data_error(name + ": found " + shown(value) +
                           ", an argument of apply_chat_template that is not supported here; "
                           "leave it out");
  }
  return false;
}

// Without its null members, and with its reasoning under each of the names that templates look for.
OrderedJson normalized(const OrderedJson& message, const std::string& place) {
  if (!message.is_object()) {
    throw base::data_error(place + ": found " + shown(message) +
                           ", expected an object with \"role\" and \"content\"");
  }
  const OrderedJson* reasoning = nullptr;
  for (const char* name : kReasoning) {
    const auto it = message.find(name);
    if (reasoning == nullptr && it != message.end() && !it->is_null()) reasoning = &*it;
  }
  OrderedJson out = OrderedJson::object();
  if (reasoning != nullptr) out["thinking"] = *reasoning;
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) out[key] = value;
  }
  if (reasoning != nullptr) out["reasoning_content"] = *reasoning;
  return out;
}

OrderedJson read_messages(const OrderedJson& messages) {
  if (!messages.is_array() || messages.empty()) {
    throw base::data_error("messages: found " + shown(messages) +
                           ", expected an array of at least one message");
  }
  OrderedJson out = OrderedJson::array();
  for (size_t i = 0; i < messages.size(); ++i)
    out.push_back(normalized(messages[i], base::str("messages[", i, "]")));
  return out;
}

// true, or the name of a field.
std::string continued_field(const OrderedJson& value) {
  if (!truth(value)) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value == true) return "content";
  throw base::data_error("continue_final_message: found " + shown(value) +
                         ", expected true, false or the name of a field");
}

// What apply_chat_template refuses to do at once.
void refuse_together(const ChatRequest& request) {
  if (request.continued.empty()) return;
  const auto it = request.variables.find("add_generation_prompt");
  if (it != request.variables.end() && truth(*it)) {
    throw base::data_error(
        "found both continue_final_message and add_generation_prompt, expected one of them: the "
        "first goes on with the last message, the second begins a new one");
  }
  if (request.wants_mask) {
    throw base::data_error(
        "found both continue_final_message and return_assistant_tokens_mask, expected one of them");
  }
}

[[noreturn]] void fail_open(const std::string& what) {
  throw base::data_error("continue_final_message: " + what);
}

}  // namespace

ChatRequest read_chat_request(const OrderedJson& request) {
  if (!request.is_object() || !request.contains("messages")) {
    throw base::data_error("found no \"messages\", expected an array of messages");
  }
  ChatRequest out;
  out.variables = OrderedJson::object();
  for (const auto& [name, value] : request.items()) {
    if (name == "messages") {
      out.messages = read_messages(value);
    } else if (name == "continue_final_message") {
      out.continued = continued_field(value);
    } else if (name == "return_assistant_tokens_mask") {
      out.wants_mask = truth(value);
    } else if (name == "chat_template") {
      if (value.is_null()) continue;
      if (!value.is_string())
        throw base::data_error("chat_template: found " + shown(value) + ", expected a string");
      out.chat_template = value.get<std::string>();
    } else if (!is_fixed(name, value)) {
      out.variables[name] = value;
    }
  }
  refuse_together(out);
  return out;
}

OpenMessage::OpenMessage(ChatRequest& request, const std::string& source)
    : field_(request.continued) {
  auto& last = request.messages.back();
  if (!last.contains(field_)) fail_open("the last message has no \"" + field_ + "\" to go on with");
  const OrderedJson content = last[field_];
  std::vector<std::string> fields = {field_};
  if (std::find(std::begin(kReasoning), std::end(kReasoning), field_) != std::end(kReasoning)) {
    fields.clear();  // the template may read any of its names
    for (const char* name : kReasoning) {
      if (last.contains(name) && last[name] == content) fields.push_back(name);
    }
  }
  const bool read = std::any_of(fields.begin(), fields.end(), [&](const auto& field) {
    return source.find(field) != source.npos;
  });
  if (!read) fail_open("the chat template does not read the field \"" + field_ + "\"");
  for (const auto& field : fields) mark(last[field]);
}

void OpenMessage::mark(OrderedJson& content) {
  if (content.is_string()) {
    final_ = content.get<std::string>();
    content = final_ + std::string(kMark);
    return;
  }
  if (!content.is_array()) fail_open("found " + shown(content) + ", expected text to go on with");
  for (auto block = content.rbegin(); block != content.rend(); ++block) {
    if (!block->is_object() || !block->contains("text")) continue;
    if (!(*block)["text"].is_string()) fail_open("the last text of the message is no string");
    return mark((*block)["text"]);
  }
  fail_open("the last message holds no text to go on with");
}

std::string OpenMessage::cut(std::string text) const {
  const std::string_view bare = jinja::strip(kMark, nullptr);
  const size_t at = text.rfind(bare);
  if (at == text.npos || text.find(jinja::strip(final_, nullptr)) == text.npos) {
    fail_open("the last message does not stand in the text that the chat template makes of it");
  }
  const bool spaced = std::string_view(text).substr(at, kMark.size()) == kMark;
  text.resize(at);
  // The template strips the message, so the spaces at its end are not the message's.
  return spaced ? text : std::string(jinja::strip(text, nullptr, false, true));
}

}  // namespace preimage::text
