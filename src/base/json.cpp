#include "preimage/base/json.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::base {
namespace {

struct Position {
  int64_t line, column;
};

Position position_of(std::string_view text, size_t offset, int64_t first_line) {
  const auto head = text.substr(0, std::min(offset, text.size()));
  const auto last_break = head.rfind('\n');
  return {first_line + std::count(head.begin(), head.end(), '\n'),
          static_cast<int64_t>(head.size() - (last_break == head.npos ? 0 : last_break + 1)) + 1};
}

[[noreturn]] void fail(std::string_view text, size_t offset, const std::string& place,
                       int64_t first_line, const std::string& what) {
  const auto at = position_of(text, offset, first_line);
  throw data_error(str(place, ":", at.line, ":", at.column, ": ", what));
}

// A first pass over the bytes that bounds the depth before the recursive parser sees them, and turns
// bare NaN and Infinity into null where that is allowed.
std::string bounded(std::string_view text, const std::string& place, const JsonLimits& limits,
                    int64_t first_line) {
  std::string out(text);
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < out.size(); ++i) {
    const char c = out[i];
    if (in_string) {
      if (c == '\\') ++i;
      else if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if ((c == '{' || c == '[') && ++depth > limits.max_depth) {
      fail(text, i, place, first_line, str("nesting deeper than ", limits.max_depth, " levels"));
    }
    if (c == '}' || c == ']') --depth;
    if (!limits.allow_non_finite) continue;
    for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
      if (out.compare(i, word.size(), word) != 0) continue;
      out.replace(i, word.size(), "null" + std::string(word.size() > 4 ? word.size() - 4 : 0, ' '));
      // "NaN" is one byte shorter than "null": offsets of later messages shift by one, lines do not.
      break;
    }
  }
  return out;
}

}  // namespace

Json parse_json(std::string_view text, const std::string& place, const JsonLimits& limits,
                int64_t first_line) {
  if (text.size() > limits.max_bytes) {
    throw data_error(str(place, ": ", human_bytes(text.size()), " of JSON, the limit is ",
                         human_bytes(limits.max_bytes)));
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  if (text.empty()) throw data_error(place + ": empty, expected a JSON value");
  if (const size_t bad = first_invalid_utf8(text); bad != text.npos) {
    fail(text, bad, place, first_line, str("invalid UTF-8 at byte ", bad));
  }
  const std::string body = bounded(text, place, limits, first_line);

  std::vector<std::set<std::string>> keys;
  std::string duplicate;
  const auto callback = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && duplicate.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) duplicate = key;
    }
    return true;
  };
  try {
    Json value = Json::parse(body, callback);
    if (!duplicate.empty()) {
      throw data_error(str(place, ":", first_line - 1 + line_of_key(text, duplicate), ": key \"",
                           duplicate, "\" appears twice in one object; keep one"));
    }
    return value;
  } catch (const Json::parse_error& error) {
    const size_t offset = error.byte > 0 ? error.byte - 1 : 0;
    if (offset >= body.size()) fail(text, offset, place, first_line, "JSON ends too early");
    const auto found = static_cast<unsigned char>(body[offset]);
    const std::string shown = found >= 0x20 && found < 0x7F ? str("'", body[offset], "'")
                                                            : str("byte ", static_cast<int>(found));
    fail(text, offset, place, first_line, "not valid JSON: unexpected " + shown);
  } catch (const Json::out_of_range&) {
    throw data_error(place + ": a number is out of the range of a double");
  }
}

Json read_json(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.max_bytes), path.string(), limits);
}

std::string canonical(const Json& value) {
  try {
    return value.dump(-1, ' ', false, Json::error_handler_t::strict);
  } catch (const Json::type_error&) {
    throw Error(ExitCode::bug, "bug in preimage: invalid UTF-8 in a JSON value to be written");
  }
}

int64_t line_of_key(std::string_view text, std::string_view key) {
  const std::string quoted = "\"" + std::string(key) + "\"";
  for (size_t at = text.find(quoted); at != text.npos; at = text.find(quoted, at + 1)) {
    const size_t after = text.find_first_not_of(" \t\r\n", at + quoted.size());
    if (after != text.npos && text[after] == ':') return position_of(text, at, 1).line;
  }
  return 0;
}

}  // namespace preimage::base
