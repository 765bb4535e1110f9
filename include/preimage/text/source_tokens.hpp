// JavaScript and Rust cut into the tokens of their grammars: what is left of a program when layout
// does not count.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

enum class SourceLanguage { javascript, rust };

// Names, numbers, texts, comments and the longest punctuators, as they stand; white space between
// them is left out. In JavaScript, whose grammar reads them, runs of line breaks between tokens
// stand as one "\n". Comments are tokens: programs that differ in them are different here, as are
// those that differ in redundant parentheses, so equality of these lists is stricter than that of
// syntax trees. A text or comment that is not closed goes to the end.
std::vector<std::string> source_tokens(SourceLanguage language, std::string_view source);

}  // namespace preimage::text
