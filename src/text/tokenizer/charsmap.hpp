// The precompiled character map of SentencePiece: a Darts double array from byte sequences to
// replacements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace preimage::text {

class Charsmap {
 public:
  // u32 (little-endian) bytes of the trie, the trie, replacements ended by NUL. ExitCode::bad_data
  // on anything else; `place` starts the message.
  Charsmap(std::string_view blob, const std::string& place);

  struct Match {
    size_t length;
    std::string_view replacement;
  };
  // The shortest (longest) entry that `text` starts with.
  std::optional<Match> shortest(std::string_view text) const { return find(text, true); }
  std::optional<Match> longest(std::string_view text) const { return find(text, false); }

 private:
  std::optional<Match> find(std::string_view text, bool first) const;
  std::vector<uint32_t> units_;
  std::string replacements_;
};

// Base64 (RFC 4648, with padding); nothing when malformed.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace preimage::text
