#include "preimage/text/chat_template.hpp"

#include "jinja/template.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text {
namespace {

using jinja::Dict;
using jinja::Value;

// JSON is at most 64 levels deep (base::parse_json), so this may recurse.
Value to_value(const OrderedJson& json, const std::string& place) {
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return Value(json.get<bool>());
    case OrderedJson::value_t::number_unsigned:
      if (json.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
        throw base::data_error(place + ": the integer " + json.dump() + " is beyond 64 bits");
      }
      [[fallthrough]];
    case OrderedJson::value_t::number_integer:
      return Value(json.get<int64_t>());
    case OrderedJson::value_t::number_float:
      return Value(json.get<double>());
    case OrderedJson::value_t::string:
      return Value(json.get_ref<const std::string&>());
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(to_value(item, place));
      return jinja::make_list(std::move(items));
    }
    case OrderedJson::value_t::object: {
      Dict dict;
      for (const auto& [key, value] : json.items()) dict.set(Value(key), to_value(value, place));
      return jinja::make_dict(std::move(dict));
    }
    default:
      return Value();
  }
}

// A message as transformers shows it to a template: without its null members, and with its
// reasoning under each of the names that templates look for.
Value to_message(const OrderedJson& message, const std::string& place) {
  if (!message.is_object()) {
    throw base::data_error(place + ": found " + message.dump().substr(0, 80) +
                           ", expected an object with \"role\" and \"content\"");
  }
  const OrderedJson* reasoning = nullptr;
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto it = message.find(name);
    if (reasoning == nullptr && it != message.end() && !it->is_null()) reasoning = &*it;
  }
  Dict out;
  if (reasoning != nullptr) out.set(Value("thinking"), to_value(*reasoning, place));
  for (const auto& [key, value] : message.items()) {
    if (!value.is_null()) out.set(Value(key), to_value(value, place + "." + key));
  }
  if (reasoning != nullptr) out.set(Value("reasoning_content"), to_value(*reasoning, place));
  return jinja::make_dict(std::move(out));
}

Value to_messages(const OrderedJson& messages) {
  if (!messages.is_array() || messages.empty()) {
    throw base::data_error("messages: found " + messages.dump().substr(0, 80) +
                           ", expected an array of at least one message");
  }
  std::vector<Value> out;
  for (size_t i = 0; i < messages.size(); ++i) {
    out.push_back(to_message(messages[i], base::str("messages[", i, "]")));
  }
  return jinja::make_list(std::move(out));
}

}  // namespace

struct ChatTemplate::Compiled {
  std::map<std::string, jinja::Template> templates;
  std::map<std::string, std::string> special_tokens;

  // As transformers: "tool_use" where there are tools, else "default".
  const jinja::Template& choose(bool tools) const {
    if (const auto it = templates.find("tool_use"); tools && it != templates.end())
      return it->second;
    if (const auto it = templates.find("default"); it != templates.end()) return it->second;
    std::vector<std::string> names;
    for (const auto& [name, compiled] : templates) names.push_back(name);
    throw base::data_error("the checkpoint has no chat template named \"default\", only: " +
                           base::join(names, ", "));
  }
};

ChatTemplate::ChatTemplate(ChatSources sources) {
  auto compiled = std::make_unique<Compiled>();
  for (const auto& [name, source] : sources.templates) {
    const auto place = sources.places.find(name);
    compiled->templates.try_emplace(
        name, source, place == sources.places.end() ? "chat template" : place->second);
  }
  compiled->special_tokens = std::move(sources.special_tokens);
  compiled_ = std::move(compiled);
}

ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

std::string ChatTemplate::render(const OrderedJson& request) const {
  if (!request.is_object() || !request.contains("messages")) {
    throw base::data_error("found no \"messages\", expected an array of messages");
  }
  Dict context;
  for (const auto& [name, text] : compiled_->special_tokens) context.set(Value(name), Value(text));
  context.set(Value("tools"), Value());
  context.set(Value("documents"), Value());
  context.set(Value("add_generation_prompt"), Value(false));
  for (const auto& [name, value] : request.items()) {
    context.set(Value(name), name == "messages" ? to_messages(value) : to_value(value, name));
  }
  return compiled_->choose(!context.find("tools")->is_none()).render(context);
}

ChatTemplate parse_chat_template(std::string_view source, const std::string& place) {
  return ChatTemplate({.templates = {{"default", std::string(source)}},
                       .places = {{"default", place}},
                       .special_tokens = {}});
}

OrderedJson parse_ordered(std::string_view json, const std::string& place) {
  try {
    return OrderedJson::parse(json);
  } catch (const OrderedJson::exception&) {
    throw base::data_error(place + ": not valid JSON");
  }
}

}  // namespace preimage::text
