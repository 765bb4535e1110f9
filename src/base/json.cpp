#include "preimage/base/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <vector>

#include "preimage/base/error.hpp"
#include "preimage/base/file.hpp"
#include "preimage/base/json_text.hpp"
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

// The text as the parser gets it, and how to find its offsets again in the original.
struct Bounded {
  std::string body;
  std::vector<size_t> grown;  // offsets in `body` from which on it is one byte longer than the text
  size_t original(size_t offset) const {
    const auto after = std::upper_bound(grown.begin(), grown.end(), offset);
    return offset - static_cast<size_t>(after - grown.begin());
  }
};

// A first pass over the bytes that bounds the depth, since whoever walks or writes the value
// recurses, refuses NUL, and turns bare NaN and Infinity into null where that is allowed.
Bounded bounded(std::string_view text, const std::string& place, const JsonLimits& limits,
                int64_t first_line) {
  Bounded out;
  out.body.reserve(text.size());
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      out.body += c;
      if (c == '\\' && i + 1 < text.size())
        out.body += text[++i];
      else if (c == '"')
        in_string = false;
      continue;
    }
    // nlohmann's lexer takes NUL for the end of the input and would pass over what follows.
    if (c == '\0') fail(text, i, place, first_line, "not valid JSON: unexpected byte 0");
    if (c == '"') in_string = true;
    if ((c == '{' || c == '[') && ++depth > limits.max_depth) {
      fail(text, i, place, first_line, str("nesting deeper than ", limits.max_depth, " levels"));
    }
    if (c == '}' || c == ']') --depth;
    std::string_view word;
    if (limits.allow_non_finite && (c == '-' || c == 'I' || c == 'N')) {
      for (const std::string_view candidate : {"-Infinity", "Infinity", "NaN"}) {
        if (text.substr(i, candidate.size()) == candidate) word = candidate;
      }
    }
    if (word.empty()) {
      out.body += c;
      continue;
    }
    out.body += "null";
    if (word.size() < 4)
      out.grown.push_back(out.body.size());
    else
      out.body.append(word.size() - 4, ' ');
    i += word.size() - 1;
  }
  return out;
}

// Calls visit(path, object, offset) for each object key of well-formed JSON, in the order of the
// text. `path` holds the raw keys from the root; an element of an array counts as "". `object`
// numbers the objects and arrays in the order in which they open.
template <class Visit>
void scan_keys(std::string_view text, const Visit& visit) {
  std::vector<std::string> path;
  struct Open {
    bool is_object;
    size_t number;
  };
  std::vector<Open> objects;
  size_t opened = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '{' || c == '[') {
      objects.push_back({c == '{', opened++});
      path.emplace_back();
    } else if ((c == '}' || c == ']') && !objects.empty()) {
      objects.pop_back();
      path.pop_back();
    }
    if (c != '"') continue;
    const size_t start = i;
    for (++i; i < text.size() && text[i] != '"'; ++i) {
      if (text[i] == '\\') ++i;
    }
    const size_t after = text.find_first_not_of(" \t\r\n", i + 1);
    const bool in_object = !objects.empty() && objects.back().is_object;
    if (!in_object || after == text.npos || text[after] != ':') continue;
    path.back() = text.substr(start + 1, i - start - 1);
    visit(path, objects.back().number, start);
  }
}

// What a file that is no text at all is, by its first bytes, and what to do; or "".
std::string kind_of_binary(std::string_view text) {
  using namespace std::string_view_literals;
  struct Kind {
    std::string_view magic;
    const char* text;
  };
  static constexpr Kind kinds[] = {
      {"\x1f\x8b"sv, "compressed with gzip; unpack it first (gunzip)"},
      {"\x28\xb5\x2f\xfd"sv, "compressed with zstd; unpack it first (unzstd)"},
      {"\xfd"
       "7zXZ\0"sv,
       "compressed with xz; unpack it first (unxz)"},
      {"BZh"sv, "compressed with bzip2; unpack it first (bunzip2)"},
      {"PK\x03\x04"sv, "a zip archive (or a PyTorch file in one); unpack it first (unzip)"},
      {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file; JSON is expected here"},
      {"PAR1"sv, "a Parquet file; write it as JSON Lines first"},
      {"\xff\xfe"sv, "UTF-16 text; write it as UTF-8"},
      {"\xfe\xff"sv, "UTF-16 text; write it as UTF-8"}};
  for (const auto& kind : kinds) {
    if (text.starts_with(kind.magic)) return kind.text;
  }
  return "";
}

// Offset of the second of two equal keys of one object. Keys equal only after unescaping are not
// seen: then the end of the text.
size_t duplicate_offset(std::string_view text) {
  std::set<std::pair<size_t, std::string>> seen;
  size_t found = text.size();
  scan_keys(text, [&](const std::vector<std::string>& path, size_t object, size_t offset) {
    if (!seen.emplace(object, path.back()).second) found = std::min(found, offset);
  });
  return found;
}

// The parser does not say which number it was.
[[noreturn]] void fail_at_overflow(std::string_view text, const std::string& place,
                                   int64_t first_line) {
  visit_numbers(text, [&](const NumberText& number) {
    if (!std::isinf(std::strtod(std::string(number.text).c_str(), nullptr))) return;
    const auto where = number.path.empty() ? "" : number.path + ": ";
    fail(text, number.offset, place, first_line,
         str(where, "found ", number.text.substr(0, 40), number.text.size() > 40 ? "..." : "",
             ", which is beyond the largest number (1.8e308)"));
  });
  throw data_error(place + ": a number is out of the range of a double");
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
  if (const auto kind = kind_of_binary(text); !kind.empty() && first_line == 1)
    throw data_error(place + ": " + kind);
  if (const size_t bad = first_invalid_utf8(text); bad != text.npos) {
    fail(text, bad, place, first_line, str("invalid UTF-8 at byte ", bad));
  }
  const Bounded input = bounded(text, place, limits, first_line);

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
    Json value = Json::parse(input.body, callback);
    if (!duplicate.empty()) {
      fail(text, duplicate_offset(text), place, first_line,
           "key \"" + duplicate + "\" appears twice in one object; keep one");
    }
    return value;
  } catch (const Json::parse_error& error) {
    const size_t offset = input.original(error.byte > 0 ? error.byte - 1 : 0);
    if (offset >= text.size()) fail(text, offset, place, first_line, "JSON ends too early");
    const auto found = static_cast<unsigned char>(text[offset]);
    const std::string shown = found >= 0x20 && found < 0x7F ? str("'", text[offset], "'")
                                                            : str("byte ", static_cast<int>(found));
    fail(text, offset, place, first_line, "not valid JSON: unexpected " + shown);
  } catch (const Json::out_of_range&) {
    fail_at_overflow(text, place, first_line);
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
  int64_t line = 0;
  scan_keys(text, [&](const std::vector<std::string>& path, size_t, size_t offset) {
    if (line == 0 && path.back() == key) line = position_of(text, offset, 1).line;
  });
  return line;
}

int64_t line_of_path(std::string_view text, const std::vector<std::string>& path) {
  int64_t line = 0;
  scan_keys(text, [&](const std::vector<std::string>& found, size_t, size_t offset) {
    if (line == 0 && found == path) line = position_of(text, offset, 1).line;
  });
  return line;
}

}  // namespace preimage::base
