// Typed reading of parsed JSON whose structure is prescribed by somebody else's format: every error
// names the file, the key path, what was found and what is expected.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "preimage/base/json.hpp"

namespace preimage::base {

// A view of one value inside a document; the document must outlive it.
class JsonNode {
 public:
  // `place` is what every message starts with: "tokenizer.json" or "train.jsonl:12".
  JsonNode(const Json& value, std::string place) : value_(&value), place_(std::move(place)) {}

  const Json& json() const { return *value_; }
  std::string place() const { return path_.empty() ? place_ : place_ + ": " + path_; }

  // Members of an object. at() requires one that is not null; find() gives nothing when the member
  // is absent or null. Both throw when this value is not an object.
  JsonNode at(const std::string& key) const;
  std::optional<JsonNode> find(const std::string& key) const;

  // Elements of an array.
  size_t size() const;
  JsonNode at(size_t index) const;

  const std::string& string() const;
  bool boolean() const;
  double number() const;
  // Integers only (3.0 is refused), within [low, high].
  int64_t integer(int64_t low = INT64_MIN, int64_t high = INT64_MAX) const;

  std::string string_or(const std::string& key, const std::string& otherwise) const;
  bool boolean_or(const std::string& key, bool otherwise) const;

  // Throws ExitCode::bad_data: place, key path, `what`.
  [[noreturn]] void fail(const std::string& what) const;
  // "found a number, expected " + `expected`.
  [[noreturn]] void wrong_type(const std::string& expected) const;

 private:
  JsonNode child(const Json& value, const std::string& step) const;
  const Json* value_;
  std::string place_;
  std::string path_;
};

// "an object", "a string", "the number 3", "null": for messages.
std::string described(const Json& value);

}  // namespace preimage::base
