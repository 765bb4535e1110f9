// A compiled PCRE2 pattern of a stranger's file, under a limit of steps and memory for each match.
#pragma once

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace preimage::text {

struct PcreLimits {
  uint32_t match = 0;     // backtracking steps of one match
  uint32_t heap_kib = 0;  // memory of one match
};

struct PcreCode {
  // `place` starts every message. `of_what` says which text the offset of a mistake counts in:
  // "" or " of its translation". ExitCode::bad_data where PCRE2 refuses the pattern.
  PcreCode(std::string_view pattern, const std::string& place, const PcreLimits& limits,
           std::string_view of_what = "");
  ~PcreCode();
  PcreCode(const PcreCode&) = delete;
  PcreCode& operator=(const PcreCode&) = delete;

  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  std::string place;
};

// What PCRE2 says of a negative result.
std::string pcre_message(int code);

}  // namespace preimage::text
