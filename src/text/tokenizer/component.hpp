// The components of a tokenizer.json are objects with a "type"; each kind of component has one
// table from the type to the function that makes it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"
#include "regex/regex.hpp"

namespace preimage::text {

template <class Component>
using ComponentTable =
    std::map<std::string, std::function<std::unique_ptr<const Component>(const base::JsonNode&)>>;

template <class Component>
std::unique_ptr<const Component> make_component(const ComponentTable<Component>& table,
                                                const base::JsonNode& node, const char* kind) {
  const auto type = node.at("type");
  const auto found = table.find(type.string());
  if (found != table.end()) return found->second(node);
  std::vector<std::string> names;
  for (const auto& [name, make] : table) names.push_back(name);
  type.fail(base::str("unknown ", kind, " \"", type.string(),
                      "\"; supported: ", base::join(names, ", ")));
}

// {"String": s} or {"Regex": s}.
Regex read_pattern(const base::JsonNode& node);

}  // namespace preimage::text
