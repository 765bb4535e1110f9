#include "tokenizer/characters.hpp"

#include <utf8proc.h>

namespace preimage::text {
namespace {

struct CaseShift {
  char32_t first, last;
  int32_t distance;
};

#include "tokenizer/character_tables.inc"

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_control(char32_t c) {
  return CharacterSet(kControls).contains(c);
}

bool is_nonspacing(char32_t c) {
  return c >= 0x300 && CharacterSet(kNonspacing).contains(c);
}

bool is_mark(char32_t c) {
  return c >= 0x300 && CharacterSet(kMarks).contains(c);
}

bool is_punctuation(char32_t c) {
  return CharacterSet(kPunctuation).contains(c);
}

bool is_numeric(char32_t c) {
  return c < 0x80 ? c >= '0' && c <= '9' : CharacterSet(kNumeric).contains(c);
}

bool is_word(char32_t c) {
  return CharacterSet(kWord).contains(c);
}

bool is_young(char32_t c) {
  return c >= kYoung[0].first && CharacterSet(kYoung).contains(c);
}

char32_t lower_case(char32_t c) {
  for (const auto& shift : kYoungLower) {
    if (c >= shift.first && c <= shift.last) {
      return static_cast<char32_t>(static_cast<int32_t>(c) + shift.distance);
    }
  }
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
}

}  // namespace preimage::text
