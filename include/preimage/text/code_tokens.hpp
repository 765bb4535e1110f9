// Code cut into tokens without a parser, for measuring what one text copies from another.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

// Words (runs of ASCII letters, digits, underscores and of anything beyond ASCII), and every other
// visible character by itself; white space only divides. ASCII letters in lower case. Quotes divide
// like all punctuation, so that what is copied inside a text in quotes still shows; layout and case
// do not count:
//   "def F(x):\n  return x+1" -> def f ( x ) : return x + 1
std::vector<std::string> code_tokens(std::string_view text);

}  // namespace preimage::text
