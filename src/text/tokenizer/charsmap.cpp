#include "tokenizer/charsmap.hpp"

#include <cstring>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "preimage/base/utf8.hpp"

namespace preimage::text {
namespace {

// Fields of a unit (Darts-clone).
constexpr uint32_t kLeaf = 1u << 8;
uint32_t value_of(uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
uint32_t label_of(uint32_t unit) {
  return unit & (0x80000000u | 0xFFu);
}
uint32_t offset_of(uint32_t unit) {
  return (unit >> 10) << ((unit & 0x200u) >> 6);
}

}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& place) {
  const auto refuse = [&](const std::string& what) -> base::Error {
    return base::data_error(place + ": the precompiled character map " + what);
  };
  uint32_t bytes = 0;
  if (blob.size() < sizeof bytes) {
    throw refuse(base::str("has ", blob.size(), " bytes, expected at least 4"));
  }
  std::memcpy(&bytes, blob.data(), sizeof bytes);
  if (bytes % 4 != 0 || bytes > blob.size() - sizeof bytes) {
    throw refuse(base::str("says ", bytes, " bytes for its trie, it has ", blob.size() - 4,
                           " after the header"));
  }
  units_.resize(bytes / 4);
  std::memcpy(units_.data(), blob.data() + sizeof bytes, bytes);
  replacements_ = blob.substr(sizeof bytes + bytes);
  // Entries are read up to their NUL; so is the last one.
  replacements_ += '\0';
  const size_t bad = base::first_invalid_utf8(replacements_);
  if (bad != std::string::npos) throw refuse(base::str("has a byte that is not UTF-8, at ", bad));
}

std::optional<Charsmap::Match> Charsmap::find(std::string_view text, bool first) const {
  if (units_.empty()) return std::nullopt;
  std::optional<Match> out;
  size_t at = offset_of(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    at ^= byte;
    if (at >= units_.size() || label_of(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= offset_of(unit);
    if ((unit & kLeaf) == 0) continue;
    if (at >= units_.size()) break;
    const size_t value = value_of(units_[at]);
    if (value >= replacements_.size()) break;
    // Inside a character of a damaged map: no replacement.
    if ((static_cast<uint8_t>(replacements_[value]) & 0xC0) == 0x80) break;
    out = Match{i + 1, std::string_view(replacements_.data() + value)};
    if (first) break;
  }
  return out;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t bits = 0;
    int padding = 0;
    for (size_t k = 0; k < 4; ++k) {
      const char c = text[i + k];
      uint32_t value = 0;
      if (c >= 'A' && c <= 'Z') {
        value = static_cast<uint32_t>(c - 'A');
      } else if (c >= 'a' && c <= 'z') {
        value = static_cast<uint32_t>(c - 'a' + 26);
      } else if (c >= '0' && c <= '9') {
        value = static_cast<uint32_t>(c - '0' + 52);
      } else if (c == '+' || c == '/') {
        value = c == '+' ? 62 : 63;
      } else if (c == '=' && i + 4 == text.size() && k >= 2) {
        ++padding;
      } else {
        return std::nullopt;
      }
      if (padding > 0 && c != '=') return std::nullopt;
      bits = bits << 6 | value;
    }
    out += static_cast<char>(bits >> 16);
    if (padding < 2) out += static_cast<char>(bits >> 8 & 0xFF);
    if (padding < 1) out += static_cast<char>(bits & 0xFF);
  }
  return out;
}

}  // namespace preimage::text
