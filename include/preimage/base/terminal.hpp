// Text of others on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace preimage::base {

// What is not UTF-8 becomes U+FFFD, and characters that would act on the terminal (escape and other
// controls but line end and tab, controls of writing direction) are shown as "\x1b" and "\u202e".
// Text that comes from a file, a name or another program is never printed otherwise.
std::string visible_text(std::string_view bytes);

}  // namespace preimage::base
