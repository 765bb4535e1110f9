#include "preimage/text/chat_template.hpp"

#include "chat_request.hpp"
#include "jinja/template.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text {
namespace {

using jinja::Dict;
using jinja::Value;

// JSON is at most 64 levels deep (base::parse_json), so this may recurse.
Value to_value(const OrderedJson& json) {
  switch (json.type()) {
    case OrderedJson::value_t::boolean:
      return Value(json.get<bool>());
    case OrderedJson::value_t::number_unsigned:
      return Value::integer_of(std::to_string(json.get<uint64_t>()));
    case OrderedJson::value_t::number_integer:
      return Value(json.get<int64_t>());
    case OrderedJson::value_t::binary: {
      const auto& digits = json.get_binary();
      return Value::integer_of({digits.begin(), digits.end()});
    }
    case OrderedJson::value_t::number_float:
      return Value(json.get<double>());
    case OrderedJson::value_t::string:
      return Value(json.get_ref<const std::string&>());
    case OrderedJson::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const auto& item : json) items.push_back(to_value(item));
      return jinja::make_list(std::move(items));
    }
    case OrderedJson::value_t::object: {
      Dict dict;
      for (const auto& [key, value] : json.items()) dict.set(Value(key), to_value(value));
      return jinja::make_dict(std::move(dict));
    }
    default:
      return Value();
  }
}

Value variable(const std::string& name, const OrderedJson& json) {
  try {
    return to_value(json);
  } catch (const jinja::Failure& failure) {
    throw base::data_error(name + ": " + failure.what());
  }
}

// Stretches of characters as stretches of bytes.
std::vector<std::pair<size_t, size_t>> bytes_of(std::vector<std::pair<size_t, size_t>> stretches,
                                                const std::string& text) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<uint8_t>(text[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  const auto byte = [&](size_t index) {
    return index < starts.size() ? starts[index] : text.size();
  };
  for (auto& [begin, end] : stretches) begin = byte(begin), end = byte(end);
  return stretches;
}

}  // namespace

struct ChatTemplate::Compiled {
  std::map<std::string, jinja::Template> templates;
  std::map<std::string, std::string> special_tokens;

  std::string names() const {
    std::vector<std::string> out;
    for (const auto& [name, compiled] : templates) out.push_back(name);
    return base::join(out, ", ");
  }

  // As transformers: "tool_use" where there are tools, else "default".
  const jinja::Template& choose(bool tools) const {
    if (const auto it = templates.find("tool_use"); tools && it != templates.end())
      return it->second;
    if (const auto it = templates.find("default"); it != templates.end()) return it->second;
    throw base::data_error("the checkpoint has no chat template named \"default\", only: " +
                           names());
  }

  RenderedChat render(ChatRequest request, const jinja::Template& chosen) const {
    std::optional<OpenMessage> open;
    if (!request.continued.empty()) open.emplace(request, chosen.source());
    Dict context;
    for (const auto& [name, text] : special_tokens) context.set(Value(name), Value(text));
    context.set(Value("tools"), Value());
    context.set(Value("documents"), Value());
    context.set(Value("add_generation_prompt"), Value(false));
    for (const auto& [name, value] : request.variables.items())
      context.set(Value(name), variable(name, value));
    context.set(Value("messages"), variable("messages", request.messages));
    auto rendering = chosen.render(context);
    RenderedChat out;
    out.text = open ? open->cut(std::move(rendering.text)) : std::move(rendering.text);
    out.wants_mask = request.wants_mask;
    if (out.wants_mask) out.generated = bytes_of(rendering.generated, out.text);
    if (out.wants_mask && chosen.source().find("generation") == std::string::npos) {
      out.warnings.push_back(
          "return_assistant_tokens_mask: the chat template has no {% generation %} block, so the "
          "mask is all 0");
    }
    return out;
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

RenderedChat ChatTemplate::render(const OrderedJson& request) const {
  auto read = read_chat_request(request);
  const auto tools = read.variables.find("tools");
  if (!read.chat_template) {
    const bool has_tools = tools != read.variables.end() && !tools->is_null();
    const auto& chosen = compiled_->choose(has_tools);
    return compiled_->render(std::move(read), chosen);
  }
  const std::string wanted = *read.chat_template;
  if (const auto it = compiled_->templates.find(wanted); it != compiled_->templates.end())
    return compiled_->render(std::move(read), it->second);
  auto out =
      compiled_->render(std::move(read), jinja::Template(wanted, "chat_template of the request"));
  if (wanted.find('{') == wanted.npos) {
    out.warnings.push_back("chat_template: \"" + wanted +
                           "\" is the name of no template (there are: " + compiled_->names() +
                           "); it was taken as the text of one, as transformers does");
  }
  return out;
}

ChatTemplate parse_chat_template(std::string_view source, const std::string& place) {
  return ChatTemplate({.templates = {{"default", std::string(source)}},
                       .places = {{"default", place}},
                       .special_tokens = {}});
}

}  // namespace preimage::text
