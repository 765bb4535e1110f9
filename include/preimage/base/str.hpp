// Building message texts without a format library in public headers.
#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::base {

// Joins the streamed form of all arguments: str("line ", 3, ": ...").
template <class... Args>
std::string str(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

std::string join(const std::vector<std::string>& parts, std::string_view separator);

// "1.5 GiB", "812 B": for messages, never parsed back.
std::string human_bytes(uint64_t bytes);

// "2 h 03 min", "45 s", "0.8 s".
std::string human_seconds(double seconds);

// Shortest decimal text that reads back as the same float (or double); "nan", "inf", "-inf".
std::string shortest(float value);
std::string shortest(double value);

// The candidate with the smallest edit distance to `word`, or "" when none is near (distance more
// than a third of the word's length, at least 2).
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace preimage::base
