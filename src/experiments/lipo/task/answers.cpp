#include "answers.hpp"

#include <cmath>
#include <cstdlib>

namespace preimage::lipo {
namespace {

constexpr double kTolerance = 1e-6;

bool digit(std::string_view text, size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

size_t digits_from(std::string_view text, size_t at) {
  while (digit(text, at)) ++at;
  return at;
}

// Behind the number whose digits begin at `at`.
size_t end_of_whole(std::string_view text, size_t at) {
  size_t end = digits_from(text, at);
  const auto group = [&] {
    return end < text.size() && text[end] == ',' && digits_from(text, end + 1) == end + 4;
  };
  while (group()) end += 4;
  if (end < text.size() && text[end] == '.' && digit(text, end + 1))
    end = digits_from(text, end + 1);
  return end;
}

// -?\d+(?:[.,]\d+)?
size_t end_of_recorded(std::string_view text, size_t at) {
  const size_t end = digits_from(text, at);
  const bool group = end < text.size() && (text[end] == ',' || text[end] == '.');
  return group && digit(text, end + 1) ? digits_from(text, end + 1) : end;
}

double value_of(std::string_view number) {
  std::string plain;
  for (const char c : number) {
    if (c != ',') plain += c;
  }
  return std::strtod(plain.c_str(), nullptr);
}

}  // namespace

std::optional<double> last_number(std::string_view text, const std::string& extraction) {
  const bool recorded = extraction == "recorded";
  std::optional<double> found;
  for (size_t at = 0; at < text.size();) {
    if (!digit(text, at)) {
      ++at;
      continue;
    }
    const bool minus = at > 0 && text[at - 1] == '-';
    const bool negative = minus && (recorded || at < 2 || !digit(text, at - 2));
    const size_t end = recorded ? end_of_recorded(text, at) : end_of_whole(text, at);
    const double value = value_of(text.substr(at, end - at));
    found = negative ? -value : value;
    at = end;
  }
  return found;
}

bool right_number(std::string_view answer, double gold, const std::string& extraction) {
  const auto number = last_number(answer, extraction);
  return number && std::abs(*number - gold) <= kTolerance;
}

}  // namespace preimage::lipo
