// JSON Lines in and out: what all engine tools share, free of models.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "preimage/base/json_node.hpp"

namespace preimage::lines {

// The whole of a regular file, or of standard input for "-".
std::string read_input(const std::string& in);
// "F.jsonl", or "standard input".
std::string input_name(const std::string& in);

struct RawLine {
  int64_t number;  // from 1
  std::string_view text;
};
// Lines without their "\n" or "\r\n"; blank ones at the end are dropped (elsewhere they are
// malformed). A UTF-8 byte order mark at the start is dropped.
std::vector<RawLine> split_lines(std::string_view text);

// One line as an object with an "id" (a string or an integer): the line number where it has none.
// ExitCode::bad_data.
base::Json parse_line(const RawLine& line, const std::string& name);

// One line of text without its "\n", each number in the fewest digits that read back the same. The
// fields of `first` come first, in that order.
std::string line_text(const base::Json& value, const std::vector<std::string>& first = {});

// The double whose shortest text is that of the float; null when it is not finite.
base::Json shortest_number(float value);
base::Json shortest_numbers(const std::vector<float>& values);
// For each place its best [id, log-probability].
using Top = std::vector<std::vector<std::pair<int64_t, float>>>;
base::Json top_json(const Top& top);

// A field, or `otherwise` where the line has none.
int64_t integer_or(const base::JsonNode& line, const char* name, int64_t otherwise, int64_t low,
                   int64_t high = INT64_MAX);
double number_or(const base::JsonNode& line, const char* name, double otherwise);

// Integers of an array, each within [0, limit).
std::vector<int64_t> integers(const base::JsonNode& node, int64_t limit);

}  // namespace preimage::lines
