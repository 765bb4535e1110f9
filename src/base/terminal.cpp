#include "preimage/base/terminal.hpp"

#include "preimage/base/utf8.hpp"

namespace preimage::base {

std::string visible_text(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  const auto acts = [](char32_t c) {
    return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0) || c == 0x061C ||
           (c >= 0x200E && c <= 0x200F) || (c >= 0x2028 && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
  };
  std::string out;
  for (const char32_t c : decode_utf8(replace_invalid_utf8(bytes))) {
    if (!acts(c)) {
      append_utf8(c, out);
      continue;
    }
    out += c < 0x80 ? "\\x" : "\\u";
    for (int shift = c < 0x80 ? 4 : 12; shift >= 0; shift -= 4) out += digits[c >> shift & 15];
  }
  return out;
}

}  // namespace preimage::base
