// JSON as it stands in the text: for what a parsed value does not keep, which is the digits of
// large integers, the order of keys, and where a number stood.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace preimage::base {

// The text of the value that `key` has in the outermost object, without white space around it; ""
// when there is none. The text need not be valid JSON: then it is whatever stands there.
std::string_view member_text(std::string_view object, std::string_view key);

struct NumberText {
  std::string path;       // "tests[0].expected"
  size_t offset = 0;      // of its first byte
  std::string_view text;  // "-12", "1e400"
  bool is_integer() const { return text.find_first_of(".eE") == text.npos; }
};
// Calls `visit` for each number outside strings, in the order of the text.
void visit_numbers(std::string_view text, const std::function<void(const NumberText&)>& visit);

// `text` with each integer of `part`, a part of it, that has 19 digits or more replaced by a 0 and
// spaces: for a parser whose numbers are doubles, where somebody else reads the part.
std::string with_short_integers(std::string_view text, std::string_view part);

}  // namespace preimage::base
