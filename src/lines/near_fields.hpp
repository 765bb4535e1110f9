// Fields of a line that the tool does not know, yet were likely meant for it: `temprature`,
// `max_tokens`. A field that is near none is the user's own and carried through.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::lines {

// The known field that `name`, which is none of them, was likely meant to be; "" for none: one slip
// of the keyboard (more in long names), other case or hyphens, words left out or put in
// (max_tokens: max_new_tokens), the name that other programs have for it.
std::string meant_field(std::string_view name, const std::vector<std::string>& known);

// The unknown field of a line and the known one that was likely meant.
struct NearField {
  std::string name, meant;
};

// The fields that a tool reads, and those that it writes: they are reserved, and no mistakes.
class KnownFields {
 public:
  KnownFields(std::vector<std::string> read, const std::vector<std::string>& written);
  // Thread-safe; remembers each name.
  std::vector<NearField> near(const base::Json& line);

 private:
  std::vector<std::string> read_;
  std::mutex mutex_;
  std::map<std::string, std::string, std::less<>> meant_;  // "" for a name that means none
};

// For an error about a line: found the field "temprature"; did you mean "temperature"?
std::string complaint(const NearField& field);

// The near fields of many lines, each name once.
class NearFields {
 public:
  void count(const NearField& field, int64_t line);
  // Those of another rank.
  void join(const base::Json& other);
  base::Json to_json() const;
  // One line of text for each name, in the order of the first lines that have it. `name`: of the
  // input.
  std::vector<std::string> warnings(const std::string& name) const;

 private:
  struct Seen {
    std::string meant;
    int64_t first = 0, lines = 0;
  };
  std::map<std::string, Seen> seen_;
};

}  // namespace preimage::lines
