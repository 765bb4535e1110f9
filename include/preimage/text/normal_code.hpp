// The normal form in which an answer is compared with a target program.
#pragma once

#include <string>
#include <string_view>

namespace preimage::text {

// What an answer says in the end: the text behind the last "<|channel|>final...<|message|>" of a
// Harmony conversation, up to its end marker (<|end|>, <|return|>, <|call|>); the whole text where
// there is no such marker. An answer that never came to its final channel is "".
std::string final_channel(std::string_view answer);

// Line ends as LF, white space (of ASCII) at the ends of lines stripped, blank lines at both ends
// dropped, no line end behind the last line. Idempotent.
std::string normal_lines(std::string_view code);

// The program in an answer: final_channel; of it the first fenced block, or all of it; its
// normal_lines. A program by itself, which may hold fences, is normalised by normal_lines.
std::string normal_code(std::string_view answer);

}  // namespace preimage::text
