#include "jinja/big_integer.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <vector>

namespace preimage::text::jinja {
namespace {

struct Parts {
  bool negative;
  std::string_view magnitude;
};

Parts parts_of(std::string_view digits) {
  const bool negative = digits.starts_with('-');
  return {negative, negative ? digits.substr(1) : digits};
}

int compare_magnitudes(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
  return a.compare(b);
}

std::string signed_digits(bool negative, std::string magnitude) {
  const size_t first = std::min(magnitude.find_first_not_of('0'), magnitude.size() - 1);
  magnitude.erase(0, first);
  return negative && magnitude != "0" ? "-" + magnitude : magnitude;
}

// The digit of place `i`, counted from the last one.
int digit(std::string_view digits, size_t i) {
  return i < digits.size() ? digits[digits.size() - 1 - i] - '0' : 0;
}

// a + b, or a - b where a is not smaller.
std::string combined(std::string_view a, std::string_view b, int sign) {
  std::string out;
  int carry = 0;
  for (size_t i = 0; i < std::max(a.size(), b.size()) + 1; ++i) {
    const int value = digit(a, i) + sign * digit(b, i) + carry;
    carry = value < 0 ? -1 : value / 10;
    out += static_cast<char>('0' + value - 10 * carry);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

}  // namespace

std::optional<int64_t> small_integer(std::string_view digits) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

int compare_integers(std::string_view a, std::string_view b) {
  const auto x = parts_of(a), y = parts_of(b);
  if (x.negative != y.negative) return x.negative ? -1 : 1;
  return x.negative ? compare_magnitudes(y.magnitude, x.magnitude)
                    : compare_magnitudes(x.magnitude, y.magnitude);
}

std::string negated_integer(std::string_view a) {
  const auto [negative, magnitude] = parts_of(a);
  return signed_digits(!negative, std::string(magnitude));
}

std::string sum_of_integers(std::string_view a, std::string_view b) {
  const auto x = parts_of(a), y = parts_of(b);
  if (x.negative == y.negative)
    return signed_digits(x.negative, combined(x.magnitude, y.magnitude, 1));
  if (compare_magnitudes(x.magnitude, y.magnitude) >= 0)
    return signed_digits(x.negative, combined(x.magnitude, y.magnitude, -1));
  return signed_digits(y.negative, combined(y.magnitude, x.magnitude, -1));
}

std::string product_of_integers(std::string_view a, std::string_view b) {
  const auto x = parts_of(a), y = parts_of(b);
  std::vector<int64_t> places(x.magnitude.size() + y.magnitude.size(), 0);
  for (size_t i = 0; i < x.magnitude.size(); ++i) {
    for (size_t k = 0; k < y.magnitude.size(); ++k)
      places[i + k] += digit(x.magnitude, i) * digit(y.magnitude, k);
  }
  std::string out;
  int64_t carry = 0;
  for (const int64_t place : places) {
    const int64_t value = place + carry;
    out += static_cast<char>('0' + value % 10);
    carry = value / 10;
  }
  std::reverse(out.begin(), out.end());
  return signed_digits(x.negative != y.negative, std::move(out));
}

std::string integer_part(double value) {
  char text[400];
  std::snprintf(text, sizeof text, "%.0f", std::trunc(value));
  return value > -1 && value < 1 ? "0" : text;
}

}  // namespace preimage::text::jinja
