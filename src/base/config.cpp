#include "preimage/base/config.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <type_traits>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::base {
namespace {

template <class T>
constexpr bool is_list = false;
template <class T>
constexpr bool is_list<std::vector<T>> = true;

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, int64_t>) return "an integer";
  if constexpr (std::is_same_v<T, double>) return "a number";
  if constexpr (std::is_same_v<T, std::string>) return "a string";
  if constexpr (is_list<T>) return "a list, each element " + type_name<typename T::value_type>();
}

std::string range_text(const FieldInfo& info) {
  if (!info.choices.empty()) return "one of " + join(info.choices, ", ");
  const bool low = std::isfinite(info.min), high = std::isfinite(info.max);
  // In full: 0.99999999 as "1" would refuse 1 and ask for it.
  if (low && high) return "from " + shortest(info.min) + " to " + shortest(info.max);
  if (low) return "at least " + shortest(info.min);
  if (high) return "at most " + shortest(info.max);
  return "";
}

// A value as it is shown in a message: never a page of it.
std::string shown(const Json& json) {
  if (json.is_structured()) return json.type_name();
  const auto text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

// Converts one JSON value; returns what is wrong, or "".
template <class T>
std::string convert(const Json& json, const FieldInfo& info, T& out) {
  const std::string found = shown(json);
  const std::string wrong_type = "found " + found + ", expected " + type_name<T>();
  if constexpr (is_list<T>) {
    if (!json.is_array()) return wrong_type;
    T list;
    for (const auto& element : json) {
      typename T::value_type value{};
      if (const auto wrong = convert(element, info, value); !wrong.empty()) return wrong;
      list.push_back(std::move(value));
    }
    out = std::move(list);
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return wrong_type;
    out = json.get<bool>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) return wrong_type;
    const auto value = json.get<std::string>();
    const auto& allowed = info.choices;
    if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end()) {
      return "found " + found + ", expected " + range_text(info);
    }
    out = value;
  } else {
    if (!json.is_number()) return wrong_type;
    const auto value = json.get<double>();
    if (std::is_same_v<T, int64_t> && value != std::floor(value)) return wrong_type;
    if (!(value >= info.min && value <= info.max)) {
      return "found " + found + ", expected " + type_name<T>() + " " + range_text(info);
    }
    if constexpr (std::is_same_v<T, int64_t>) {
      if (json.is_number_float() && std::abs(value) > 0x1p53) return wrong_type;
      if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX}) {
        return "found " + found + ", expected an integer of 64 bits";
      }
      out = json.is_number_float() ? static_cast<int64_t>(value) : json.get<int64_t>();
    } else {
      out = value;
    }
  }
  return "";
}

std::string assign(const Field& field, const Json& json) {
  return std::visit([&](auto* target) { return convert(json, field.info, *target); }, field.value);
}

bool is_group(const Fields& fields, const std::string& prefix) {
  return std::any_of(fields.all().begin(), fields.all().end(),
                     [&](const Field& f) { return f.path.starts_with(prefix + "."); });
}

// The names valid at the level of `prefix` ("" or "optim.").
std::vector<std::string> names_at(const Fields& fields, const std::string& prefix) {
  std::set<std::string> names;
  for (const auto& field : fields.all()) {
    if (!field.path.starts_with(prefix)) continue;
    const auto rest = field.path.substr(prefix.size());
    names.insert(rest.substr(0, rest.find('.')));
  }
  return {names.begin(), names.end()};
}

std::string unknown_key(const Fields& fields, const std::string& prefix, const std::string& name) {
  const size_t dot = name.find('.');  // a key with its groups in front: the group's names count
  if (dot != std::string::npos && is_group(fields, prefix + name.substr(0, dot)))
    return unknown_key(fields, prefix + name.substr(0, dot + 1), name.substr(dot + 1));
  const auto valid = names_at(fields, prefix);
  if (is_group(fields, prefix + name)) {
    std::vector<std::string> inside = names_at(fields, prefix + name + ".");
    for (auto& field : inside) field = prefix + name + "." + field;
    return "\"" + prefix + name + "\" is a group of fields, not a field; set " +
           join(inside, " or ");
  }
  auto near = nearest(name, valid);
  std::string shown_prefix = prefix;
  if (near.empty()) {  // perhaps the right name at another level
    for (const auto& field : fields.all()) {
      if (field.path.substr(field.path.rfind('.') + 1) == name)
        near = field.path, shown_prefix = "";
    }
  }
  std::string text = "unknown key \"" + prefix + name + "\"";
  if (!near.empty()) return text + " (did you mean \"" + shown_prefix + near + "\"?)";
  return text + " (valid here: " + join(valid, ", ") + ")";
}

struct Reader {
  Fields& fields;
  const std::string& place;
  const std::string& text;
  std::vector<std::pair<int64_t, std::string>> errors;   // line and message
  std::map<std::string, std::vector<std::string>> seen;  // path -> the keys that led there

  int64_t line_of(const std::vector<std::string>& keys) const {
    return text.empty() ? 0 : line_of_path(text, keys);
  }

  void error(const std::vector<std::string>& keys, const std::string& what) {
    const int64_t line = line_of(keys);
    errors.emplace_back(line, line > 0 ? str(place, ":", line, ": ", what) : place + ": " + what);
  }

  void read(const Field& field, const Json& value, const std::vector<std::string>& keys) {
    // JSON knows no equal keys in one object, but {"a.b": 1, "a": {"b": 2}} names one field twice.
    const auto [before, fresh] = seen.emplace(field.path, keys);
    if (!fresh) {
      const int64_t line = std::min(line_of(keys), line_of(before->second));
      error(line_of(keys) > line ? keys : before->second,
            str("\"", field.path, "\": given twice", line > 0 ? str(", first in line ", line) : "",
                "; keep one"));
    }
    if (const auto wrong = assign(field, value); !wrong.empty())
      error(keys, "\"" + field.path + "\": " + wrong);
  }

  void walk(const Json& object, const std::string& prefix, std::vector<std::string> keys = {}) {
    keys.emplace_back();
    for (const auto& [name, value] : object.items()) {
      const std::string path = prefix + name;
      keys.back() = name;
      if (const Field* field = fields.find(path)) {
        read(*field, value, keys);
      } else if (!is_group(fields, path)) {
        error(keys, unknown_key(fields, prefix, name));
      } else if (value.is_object()) {
        walk(value, path + ".", keys);
      } else {
        error(keys, "\"" + path + "\": found " + shown(value) + ", expected an object");
      }
    }
  }

  ConfigErrors in_document_order() {
    std::stable_sort(errors.begin(), errors.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    ConfigErrors out;
    for (auto& [line, message] : errors) out.push_back(std::move(message));
    return out;
  }
};

Json nested(const Fields& fields, bool identity_only) {
  Json out = Json::object();
  for (const auto& field : fields.all()) {
    if (identity_only && field.info.role != FieldRole::identity) continue;
    Json* at = &out;
    size_t from = 0;
    for (size_t dot; (dot = field.path.find('.', from)) != std::string::npos; from = dot + 1) {
      at = &(*at)[field.path.substr(from, dot - from)];
    }
    (*at)[field.path.substr(from)] = value_of(field);
  }
  return out;
}

template <class T>
Json schema_type(const FieldInfo& info) {
  if constexpr (is_list<T>) {
    return {{"type", "array"}, {"items", schema_type<typename T::value_type>(info)}};
  } else {
    Json out;
    if constexpr (std::is_same_v<T, bool>) out["type"] = "boolean";
    if constexpr (std::is_same_v<T, std::string>) out["type"] = "string";
    if constexpr (std::is_same_v<T, int64_t>) out["type"] = "integer";
    if constexpr (std::is_same_v<T, double>) out["type"] = "number";
    if (!info.choices.empty()) out["enum"] = info.choices;
    if (std::isfinite(info.min)) out["minimum"] = info.min;
    if (std::isfinite(info.max)) out["maximum"] = info.max;
    return out;
  }
}

}  // namespace

const Field* Fields::find(const std::string& path) const {
  for (const auto& field : fields_) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

void Fields::append(const std::string& name, FieldPointer value, FieldInfo info) {
  Field field{prefix_ + name, value, std::move(info), {}};
  check(find(field.path) == nullptr, "a config field is named once: " + field.path);
  field.initial = value_of(field);
  fields_.push_back(std::move(field));
}

ConfigErrors read_fields(Fields& fields, const Json& tree, const std::string& place,
                         const std::string& text) {
  Reader reader{fields, place, text, {}, {}};
  if (!tree.is_object()) return {place + ": found " + tree.type_name() + ", expected an object"};
  reader.walk(tree, "");
  auto errors = reader.in_document_order();
  for (const auto& field : fields.all()) {
    if (field.info.required && !reader.seen.contains(field.path)) {
      errors.push_back(place + ": missing key \"" + field.path + "\" (" + field.info.help + ")");
    }
  }
  return errors;
}

ConfigErrors set_field(Fields& fields, const std::string& assignment) {
  if (first_invalid_utf8(assignment) != std::string::npos) {
    return {"--set " + replace_invalid_utf8(assignment) + ": not valid UTF-8"};
  }
  const auto equals = assignment.find('=');
  const std::string place =
      "--set " + (assignment.size() <= 120 ? assignment : assignment.substr(0, equals));
  if (equals == std::string::npos) return {place + ": expected room.field=value"};
  const auto path = assignment.substr(0, equals);
  const Field* field = fields.find(path);
  if (!field) {
    const auto dot = path.rfind('.');
    const auto prefix = dot == path.npos ? "" : path.substr(0, dot + 1);
    return {place + ": " + unknown_key(fields, prefix, path.substr(prefix.size()))};
  }
  const auto text = assignment.substr(equals + 1);
  Json value = Json::parse(text, nullptr, false);
  const bool wants_string = std::holds_alternative<std::string*>(field->value);
  if (value.is_discarded() || (wants_string && !value.is_string())) value = text;
  const auto wrong = assign(*field, value);
  return wrong.empty() ? ConfigErrors{} : ConfigErrors{place + ": " + wrong};
}

Json value_of(const Field& field) {
  return std::visit([](const auto* value) { return Json(*value); }, field.value);
}

Json to_json(const Fields& fields) {
  return nested(fields, false);
}
Json identity_json(const Fields& fields) {
  return nested(fields, true);
}

Json schema_of(const Fields& fields) {
  Json root = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
               {"type", "object"},
               {"properties", Json::object()},
               {"additionalProperties", false}};
  for (const auto& field : fields.all()) {
    Json* at = &root;
    size_t from = 0;
    for (size_t dot; (dot = field.path.find('.', from)) != std::string::npos; from = dot + 1) {
      Json& group = (*at)["properties"][field.path.substr(from, dot - from)];
      if (group.is_null()) {
        group = {
            {"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
      }
      at = &group;
    }
    Json entry = std::visit(
        [&](auto* value) {
          return schema_type<std::remove_pointer_t<decltype(value)>>(field.info);
        },
        field.value);
    entry["description"] =
        field.info.help + (field.info.unit.empty() ? "" : " [" + field.info.unit + "]");
    if (!field.info.required) entry["default"] = field.initial;
    const auto name = field.path.substr(from);
    (*at)["properties"][name] = std::move(entry);
    if (field.info.required) (*at)["required"].push_back(name);
  }
  return root;
}

std::string help_of(const Fields& fields) {
  std::string out;
  for (const auto& field : fields.all()) {
    out += field.path + (field.info.required ? " (required)" : " = " + field.initial.dump());
    if (!field.info.unit.empty()) out += " " + field.info.unit;
    out += ": " + field.info.help;
    if (const auto range = range_text(field.info); !range.empty()) out += " (" + range + ")";
    if (field.info.role == FieldRole::placement) out += " [placement]";
    out += "\n";
  }
  return out;
}

void throw_if_any(const ConfigErrors& errors) {
  if (!errors.empty()) throw config_error(join(errors, "\n"));
}

}  // namespace preimage::base
