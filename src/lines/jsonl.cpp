#include "preimage/lines/jsonl.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_node.hpp"
#include "preimage/base/str.hpp"

namespace preimage::lines {
namespace {

constexpr base::JsonLimits kLineLimits{.max_bytes = 64ull << 20};

std::string read_standard_input() {
  std::string text;
  char buffer[1 << 16];
  for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;)
    text.append(buffer, got);
  if (std::ferror(stdin)) throw base::errno_error("standard input", errno);
  return text;
}

// Arrays and objects by hand: the library's own printing of numbers is not always the shortest.
void append_json(const base::Json& value, std::string& out) {
  if (value.is_number_float()) {
    const auto text = base::shortest(value.get<double>());
    out += text;
    if (text.find_first_of(".e") == std::string::npos) out += ".0";
  } else if (value.is_array()) {
    char before = '[';
    for (const auto& element : value) {
      out += before;
      append_json(element, out);
      before = ',';
    }
    out += value.empty() ? "[]" : "]";
  } else if (value.is_object()) {
    char before = '{';
    for (const auto& [name, member] : value.items()) {
      out += before + base::Json(name).dump() + ":";
      append_json(member, out);
      before = ',';
    }
    out += value.empty() ? "{}" : "}";
  } else {
    out += value.dump();
  }
}

}  // namespace

std::string line_text(const base::Json& value, const std::vector<std::string>& first) {
  if (!value.is_object()) {
    std::string out;
    append_json(value, out);
    return out;
  }
  std::string out = "{";
  const auto append = [&](const std::string& name, const base::Json& member) {
    if (out.size() > 1) out += ',';
    out += base::Json(name).dump() + ":";
    append_json(member, out);
  };
  for (const auto& name : first) {
    if (const auto member = value.find(name); member != value.end()) append(name, *member);
  }
  for (const auto& [name, member] : value.items()) {
    if (std::find(first.begin(), first.end(), name) == first.end()) append(name, member);
  }
  return out + "}";
}

std::string read_input(const std::string& in) {
  if (in == "-") return read_standard_input();
  base::require_named_file(in);
  return base::read_file(in);
}

std::string input_name(const std::string& in) {
  return in == "-" ? "standard input" : in;
}

std::vector<RawLine> split_lines(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  std::vector<RawLine> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    auto line = text.substr(begin, end - begin);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back({static_cast<int64_t>(lines.size()) + 1, line});
    begin = end + 1;
  }
  while (!lines.empty() && lines.back().text.empty()) lines.pop_back();
  return lines;
}

base::Json parse_line(const RawLine& line, const std::string& name) {
  const auto place = base::str(name, ":", line.number);
  if (line.text.empty())
    throw base::data_error(place + ": found a blank line, expected a JSON object; delete it");
  auto json = base::parse_json(line.text, name, kLineLimits, line.number);
  if (!json.is_object())
    throw base::data_error(place + ": found " + base::described(json) + ", expected a JSON object");
  auto& id = json["id"];
  if (id.is_null()) id = line.number;
  if (!id.is_string() && !id.is_number_integer()) {
    throw base::data_error(place + ": id: found " + base::described(id) +
                           ", expected a string or an integer");
  }
  return json;
}

base::Json shortest_number(float value) {
  if (!std::isfinite(value)) return nullptr;
  // Scientific: the fewest digits that read back. The double nearest to that text prints as it.
  char text[32];
  const auto end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  double wide = 0;
  std::from_chars(text, end, wide);
  return wide;
}

base::Json shortest_numbers(const std::vector<float>& values) {
  auto out = base::Json::array();
  for (const float value : values) out.push_back(shortest_number(value));
  return out;
}

base::Json top_json(const Top& top) {
  auto out = base::Json::array();
  for (const auto& place : top) {
    auto best = base::Json::array();
    for (const auto& [id, logprob] : place) best.push_back({id, shortest_number(logprob)});
    out.push_back(std::move(best));
  }
  return out;
}

int64_t integer_or(const base::JsonNode& line, const char* name, int64_t otherwise, int64_t low,
                   int64_t high) {
  const auto given = line.find(name);
  return given ? given->integer(low, high) : otherwise;
}

double number_or(const base::JsonNode& line, const char* name, double otherwise) {
  const auto given = line.find(name);
  return given ? given->number() : otherwise;
}

std::vector<int64_t> integers(const base::JsonNode& node, int64_t limit) {
  std::vector<int64_t> out(node.size());
  for (size_t i = 0; i < out.size(); ++i) out[i] = node.at(i).integer(0, limit - 1);
  return out;
}

}  // namespace preimage::lines
