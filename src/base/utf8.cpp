#include "preimage/base/utf8.hpp"

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

struct Sequence {
  size_t length;  // bytes of the well-formed sequence, or of the ill-formed prefix to be replaced
  bool valid;
};

bool continuation(std::string_view text, size_t at, uint8_t low = 0x80, uint8_t high = 0xBF) {
  if (at >= text.size()) return false;
  const auto byte = static_cast<uint8_t>(text[at]);
  return byte >= low && byte <= high;
}

// Well-formed byte sequences: The Unicode Standard, table 3-7.
Sequence sequence_at(std::string_view text, size_t at) {
  const auto lead = static_cast<uint8_t>(text[at]);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  if (lead < 0xE0) return continuation(text, at + 1) ? Sequence{2, true} : Sequence{1, false};
  const uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (!continuation(text, at + 1, low, high)) return {1, false};
  if (!continuation(text, at + 2)) return {2, false};
  if (lead < 0xF0) return {3, true};
  return continuation(text, at + 3) ? Sequence{4, true} : Sequence{3, false};
}

// The lone surrogate U+D800..DFFF whose three bytes (as UTF-8 would write it) stand at `at`, or 0.
uint32_t surrogate_at(std::string_view text, size_t at) {
  if (text[at] != '\xED' || !continuation(text, at + 1, 0xA0) || !continuation(text, at + 2))
    return 0;
  return 0xD000u | (static_cast<uint8_t>(text[at + 1]) & 0x3Fu) << 6 |
         (static_cast<uint8_t>(text[at + 2]) & 0x3Fu);
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

size_t first_invalid_utf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto [length, valid] = sequence_at(text, at);
    if (!valid) return at;
    at += length;
  }
  return std::string_view::npos;
}

std::vector<char32_t> decode_utf8(std::string_view text) {
  std::vector<char32_t> out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const auto [length, valid] = sequence_at(text, at);
    check(valid, "decode_utf8 is given well-formed UTF-8");
    char32_t value = static_cast<uint8_t>(text[at]);
    if (length > 1) value &= 0x7Fu >> length;
    for (size_t i = 1; i < length; ++i)
      value = value << 6 | (static_cast<uint8_t>(text[at + i]) & 0x3F);
    out.push_back(value);
    at += length;
  }
  return out;
}

void append_utf8(char32_t c, std::string& out) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<uint8_t>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const auto [length, valid] = sequence_at(bytes, at);
    if (valid)
      out += bytes.substr(at, length);
    else
      out += "\xEF\xBF\xBD";
    at += length;
  }
  return out;
}

std::string escape_text(std::string_view bytes) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size());
  for (size_t at = 0; at < bytes.size();) {
    const auto [length, valid] = sequence_at(bytes, at);
    if (const uint32_t surrogate = surrogate_at(bytes, at)) {
      out += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) out += digits[surrogate >> shift & 15];
      at += 3;
      continue;
    }
    if (!valid) {
      for (size_t i = at; i < at + length; ++i) {
        const auto byte = static_cast<uint8_t>(bytes[i]);
        out += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
      }
    } else if (bytes[at] == '\0') {
      out += "\\u0000";
    } else if (bytes[at] == '\\') {
      out += "\\\\";
    } else {
      out += bytes.substr(at, length);
    }
    at += length;
  }
  return out;
}

std::string unescape_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      out += text[at];
      continue;
    }
    const auto rest = text.substr(at);
    if (rest.substr(0, 6) == "\\u0000") {
      out += '\0', at += 5;
    } else if (rest.size() >= 6 && rest.starts_with("\\ud") && hex_digit(rest[3]) >= 8 &&
               hex_digit(rest[4]) >= 0 && hex_digit(rest[5]) >= 0) {
      append_utf8(0xD000u | static_cast<uint32_t>(hex_digit(rest[3]) << 8 |
                                                  hex_digit(rest[4]) << 4 | hex_digit(rest[5])),
                  out);
      at += 5;
    } else if (rest.size() >= 4 && rest[1] == 'x' && hex_digit(rest[2]) >= 0 &&
               hex_digit(rest[3]) >= 0) {
      out += static_cast<char>(hex_digit(rest[2]) * 16 + hex_digit(rest[3])), at += 3;
    } else if (rest.size() >= 2 && rest[1] == '\\') {
      out += '\\', at += 1;
    } else {
      throw data_error("escaped text holds an unknown escape at byte " + std::to_string(at));
    }
  }
  return out;
}

}  // namespace preimage::base
