// Integers beyond 64 bits, as decimal text: "-18446744073709551616". Requests hold them in schemas
// of tools; templates print and compare them, and seldom more.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace preimage::text::jinja {

// The number where it fits; `digits` is an optional minus and digits without leading zeros.
std::optional<int64_t> small_integer(std::string_view digits);

int compare_integers(std::string_view a, std::string_view b);  // < 0, 0, > 0
std::string negated_integer(std::string_view a);
std::string sum_of_integers(std::string_view a, std::string_view b);
std::string product_of_integers(std::string_view a, std::string_view b);
// The integer that a finite floating-point number is cut to.
std::string integer_part(double value);

}  // namespace preimage::text::jinja
