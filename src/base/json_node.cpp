#include "preimage/base/json_node.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::base {

std::string described(const Json& value) {
  switch (value.type()) {
    case Json::value_t::object:
      return str("an object of ", value.size(), " keys");
    case Json::value_t::array:
      return str("an array of ", value.size(), " elements");
    case Json::value_t::string: {
      const auto& text = value.get_ref<const std::string&>();
      return text.size() <= 40 ? str("the string \"", escape_text(text), "\"")
                               : str("a string of ", text.size(), " bytes");
    }
    case Json::value_t::boolean:
      return value.get<bool>() ? "true" : "false";
    case Json::value_t::null:
      return "null";
    default:
      return "the number " + value.dump();
  }
}

JsonNode JsonNode::child(const Json& value, const std::string& step) const {
  JsonNode node(value, place_);
  node.path_ = path_.empty() || step[0] == '[' ? path_ + step : path_ + "." + step;
  return node;
}

void JsonNode::fail(const std::string& what) const {
  throw data_error(place() + ": " + what);
}

void JsonNode::wrong_type(const std::string& expected) const {
  fail(str("found ", described(*value_), ", expected ", expected));
}

std::optional<JsonNode> JsonNode::find(const std::string& key) const {
  if (!value_->is_object()) wrong_type("an object");
  const auto it = value_->find(key);
  if (it == value_->end() || it->is_null()) return std::nullopt;
  return child(*it, key);
}

JsonNode JsonNode::at(const std::string& key) const {
  if (auto node = find(key)) return *node;
  const bool null = value_->contains(key);
  fail(str("key \"", key, "\" is ", null ? "null" : "missing", ", the format requires it"));
}

size_t JsonNode::size() const {
  if (!value_->is_array()) wrong_type("an array");
  return value_->size();
}

JsonNode JsonNode::at(size_t index) const {
  if (index >= size()) fail(str("has ", size(), " elements, element ", index, " is required"));
  return child((*value_)[index], str("[", index, "]"));
}

const std::string& JsonNode::string() const {
  if (!value_->is_string()) wrong_type("a string");
  return value_->get_ref<const std::string&>();
}

bool JsonNode::boolean() const {
  if (!value_->is_boolean()) wrong_type("true or false");
  return value_->get<bool>();
}

double JsonNode::number() const {
  if (!value_->is_number()) wrong_type("a number");
  return value_->get<double>();
}

int64_t JsonNode::integer(int64_t low, int64_t high) const {
  if (!value_->is_number_integer()) wrong_type("an integer");
  if (value_->is_number_unsigned() && value_->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    wrong_type("an integer below 2^63");
  }
  const auto value = value_->get<int64_t>();
  if (value < low || value > high) fail(str("found ", value, ", allowed are ", low, " to ", high));
  return value;
}

std::string JsonNode::string_or(const std::string& key, const std::string& otherwise) const {
  const auto node = find(key);
  return node ? node->string() : otherwise;
}

bool JsonNode::boolean_or(const std::string& key, bool otherwise) const {
  const auto node = find(key);
  return node ? node->boolean() : otherwise;
}

}  // namespace preimage::base
