// Prompts that only ask for text which they hold themselves.
#pragma once

#include <string_view>

namespace preimage::text {

// Whether the text asks for the repetition of text that it holds itself, by lists of English words:
// "repeat the following ...", "print this code: ...", "... Now write the text above." A verb of
// repeating (repeat, copy, echo, reproduce, ...) needs a pointing word ("this", "following",
// "verbatim", ...) or a mark (colon, quote, line break) close behind it, a verb that may also ask
// for new text (print, write, return, ...) both, and there must be four code_tokens where they
// point. It refuses rather than passes, and knows no other language.
bool asks_for_repetition(std::string_view prompt);

}  // namespace preimage::text
