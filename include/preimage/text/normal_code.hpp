// The normal form in which an answer is compared with a target program.
#pragma once

#include <string>
#include <string_view>

namespace preimage::text {

// What an answer says in the end: the text behind the last "<|channel|>final...<|message|>" of a
// Harmony conversation, up to its end marker (<|end|>, <|return|>, <|call|>); the whole text where
// there is no such marker. An answer that never came to its final channel is "".
std::string final_channel(std::string_view answer);

// final_channel; of it the first fenced block, or all of it; line ends as LF, white space (space,
// tab, and the like of ASCII) at the ends of lines stripped, blank lines at both ends dropped. No
// line end behind the last line. Idempotent on texts without fences.
std::string normal_code(std::string_view answer);

}  // namespace preimage::text
