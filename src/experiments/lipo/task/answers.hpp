// The number that an answer ends with, and whether it is the right one.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace preimage::lipo {

// How the last number of a text is found:
//   whole     an optional sign not behind a digit, digits with any number of ",ddd" groups,
//   optional
//             decimals: "1,234,567" is one number, "5-3" ends with 3
//   recorded  the original program's pattern, which takes one group behind a comma or a point at
//             most: "1,234,567" ends with 567, "1,000.50" with 50, "5-3" with -3
std::optional<double> last_number(std::string_view text, const std::string& extraction);

// Within 1e-6 of `gold`. An answer without a number is wrong.
bool right_number(std::string_view answer, double gold, const std::string& extraction);

}  // namespace preimage::lipo
