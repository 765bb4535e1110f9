#include "preimage/text/code_tokens.hpp"

namespace preimage::text {
namespace {

bool in_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool divides(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::vector<std::string> code_tokens(std::string_view text) {
  std::vector<std::string> tokens;
  bool open = false;  // the last token is a word that may go on
  for (const char c : text) {
    if (divides(c)) {
      open = false;
    } else if (in_word(c)) {
      if (!open) tokens.emplace_back();
      tokens.back() += lower(c);
      open = true;
    } else {
      tokens.emplace_back(1, c);
      open = false;
    }
  }
  return tokens;
}

}  // namespace preimage::text
