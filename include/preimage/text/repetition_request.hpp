// Prompts that only ask for text which they hold themselves.
#pragma once

#include <string_view>

namespace preimage::text {

// Whether the text asks for the repetition of text that it holds itself, by lists of English words:
// "repeat ...", "print this code: ...", "... Now copy the text above." It needs a verb of
// repeating, what the verb points at, and at least four code_tokens where it points; verbs that
// also ask for new text (print, write, return, ...) need a pointing word ("this", "following",
// "verbatim") and a mark (colon, quote, line break) before those tokens as well. It refuses rather
// than passes, and knows no other language.
bool asks_for_repetition(std::string_view prompt);

}  // namespace preimage::text
