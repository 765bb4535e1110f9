// Strict JSON: bounded size and depth, duplicate keys and invalid UTF-8 refused, and every error
// with file, line and column.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::base {

// Keys sorted by byte value: one object has one canonical text.
using Json = nlohmann::json;

struct JsonLimits {
  uint64_t max_bytes = 1ull << 20;
  int max_depth = 64;
  // Python's json module writes bare NaN and Infinity; where a published file holds them they
  // become null instead of an error.
  bool allow_non_finite = false;
};

// Parses one complete JSON value; a UTF-8 byte order mark and CRLF are accepted. `place` starts
// every message ("job.json"); `first_line` is the line number of the first byte. Throws
// ExitCode::bad_data.
Json parse_json(std::string_view text, const std::string& place, const JsonLimits& limits = {},
                int64_t first_line = 1);

// Reads a regular file and parses it.
Json read_json(const std::filesystem::path& path, const JsonLimits& limits = {});

// One line, keys sorted, shortest numbers that read back the same: the form that hashes are made
// of. Invalid UTF-8 inside strings throws ExitCode::bug.
std::string canonical(const Json& value);

// Line (from 1) of the first place where `key` is used as an object key inside `text`, or 0. For
// messages about a key of a parsed document.
int64_t line_of_key(std::string_view text, std::string_view key);
// The same for a key inside nested objects: {"optim", "lr"}.
int64_t line_of_path(std::string_view text, const std::vector<std::string>& path);

}  // namespace preimage::base
