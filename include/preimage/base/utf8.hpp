// UTF-8: validity, decoding, and the escaped form in which arbitrary bytes are stored as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::base {

// Offset of the first byte that is not part of well-formed UTF-8 (Unicode 15, table 3-7), or npos.
size_t first_invalid_utf8(std::string_view text);

// Code points of well-formed UTF-8. Throws ExitCode::bug on malformed input: check first.
std::vector<char32_t> decode_utf8(std::string_view text);
void append_utf8(char32_t code_point, std::string& out);

// Replaces each maximal ill-formed subsequence by U+FFFD (the Unicode and WHATWG practice).
std::string replace_invalid_utf8(std::string_view bytes);

// Text that HDF5 and JSON can hold: backslash becomes "\\", NUL "\u0000", a lone surrogate (in the
// three bytes that UTF-8 would give it) "\uD800" in small hex, any other byte that is not UTF-8
// "\xHH". unescape_text is the inverse; it throws ExitCode::bad_data on an unknown escape.
std::string escape_text(std::string_view bytes);
std::string unescape_text(std::string_view text);

}  // namespace preimage::base
