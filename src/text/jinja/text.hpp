// Python's str, on UTF-8: positions count characters, cases and white space are Unicode's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "jinja/value.hpp"

namespace preimage::text::jinja {

bool is_ascii(std::string_view text);
bool is_space(char32_t c);  // str.isspace
int64_t length(std::string_view text);
// Characters first <= i < last, in steps of `step` (not 0), as a Python slice that is already
// clipped to the text.
std::string slice_text(std::string_view text, int64_t first, int64_t last, int64_t step);
// Byte offset of character `index` (0..length).
size_t byte_offset(std::string_view text, int64_t index);

// str.strip, lstrip, rstrip; without `chars`: white space.
std::string_view strip(std::string_view text, const std::string* chars, bool left = true,
                       bool right = true);
std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string casefold(std::string_view text);
std::string swapcase(std::string_view text);
std::string capitalize(std::string_view text);
std::string title(std::string_view text);  // str.title

// str.split and rsplit; without a separator: at runs of white space. `limit` < 0: no limit.
std::vector<std::string> split(std::string_view text, const std::string* separator, int64_t limit);
std::vector<std::string> rsplit(std::string_view text, const std::string* separator, int64_t limit);
std::vector<std::string> split_lines(std::string_view text, bool keep_ends);
std::string replace(std::string_view text, std::string_view from, std::string_view to,
                    int64_t limit);

// str.isalpha and its like, by name ("isalpha"); nothing for another name.
std::optional<bool> has_class(const std::string& name, std::string_view text);

// How Python prints them.
std::string float_repr(double value);
std::string text_repr(std::string_view text);
std::string to_text(const Value& value);  // str(value)
std::string repr(const Value& value);

// json.dumps of one text.
void append_json_text(std::string_view text, bool ascii_only, std::string& out);

// What int() and float() make of a text; nothing where they fail. `base` as in int(): 0, 2..36.
std::optional<int64_t> parse_integer(std::string_view text, int64_t base);
std::optional<double> parse_float(std::string_view text);

}  // namespace preimage::text::jinja
