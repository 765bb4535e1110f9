#include "regex/pcre.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text {

std::string pcre_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

PcreCode::PcreCode(std::string_view pattern, const std::string& where, const PcreLimits& limits,
                   std::string_view of_what)
    : place(where) {
  pcre2_compile_context* compile = pcre2_compile_context_create(nullptr);
  base::check(compile != nullptr, "PCRE2 gives a compile context");
  pcre2_set_newline(compile, PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length(compile, 1 << 16);
  pcre2_set_parens_nest_limit(compile, 100);
  int error = 0;
  size_t offset = 0;
  code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, compile);
  pcre2_compile_context_free(compile);
  if (!code)
    throw base::data_error(base::str(place, ": the regular expression is refused at byte ", offset,
                                     of_what, ": ", pcre_message(error)));
  context = pcre2_match_context_create(nullptr);
  if (!context) pcre2_code_free(code);  // the destructor of what was not made does not run
  base::check(context != nullptr, "PCRE2 gives a match context");
  pcre2_set_match_limit(context, limits.match);
  pcre2_set_heap_limit(context, limits.heap_kib);
}

PcreCode::~PcreCode() {
  pcre2_match_context_free(context);
  pcre2_code_free(code);
}

}  // namespace preimage::text
