#include "regex/regex.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text {
namespace {

// Backtracking steps of one match: linear patterns need about one for each byte of a run.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kHeapLimitKib = 64 * 1024;

std::string pcre_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Regex::Code {
  pcre2_code* code = nullptr;
  pcre2_match_context* context = nullptr;
  std::string place;
  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    pcre2_match_context_free(context);
    pcre2_code_free(code);
  }
};

Regex::Regex(const std::string& pattern, const std::string& place) {
  auto code = std::make_unique<Code>();
  code->place = place;
  pcre2_compile_context* compile = pcre2_compile_context_create(nullptr);
  base::check(compile != nullptr, "PCRE2 gives a compile context");
  pcre2_set_newline(compile, PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length(compile, 1 << 16);
  pcre2_set_parens_nest_limit(compile, 100);
  int error = 0;
  size_t offset = 0;
  code->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, compile);
  pcre2_compile_context_free(compile);
  if (!code->code) {
    throw base::data_error(base::str(place, ": the regular expression is refused at byte ", offset,
                                     " of its translation: ", pcre_message(error)));
  }
  // Without executable memory the interpreter does the same, more slowly.
  pcre2_jit_compile(code->code, PCRE2_JIT_COMPLETE);
  code->context = pcre2_match_context_create(nullptr);
  base::check(code->context != nullptr, "PCRE2 gives a match context");
  pcre2_set_match_limit(code->context, kMatchLimit);
  pcre2_set_heap_limit(code->context, kHeapLimitKib);
  code_ = std::move(code);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Regex::Scratch::Scratch(const Regex& regex)
    : match_data_(pcre2_match_data_create_from_pattern(regex.code_->code, nullptr)) {
  base::check(match_data_ != nullptr, "PCRE2 gives match data");
}

Regex::Scratch::~Scratch() {
  pcre2_match_data_free(static_cast<pcre2_match_data*>(match_data_));
}

void Regex::find_all(std::string_view text, Scratch& scratch, std::vector<Span>& matches) const {
  auto* data = static_cast<pcre2_match_data*>(scratch.match_data_);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t from = 0;
  size_t last_end = text.npos;
  while (from <= text.size()) {
    const auto run = [&](uint32_t options) {
      return pcre2_match(code_->code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | options,
                         data, code_->context);
    };
    int found = run(0);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) found = run(PCRE2_NO_JIT);
    if (found == PCRE2_ERROR_NOMATCH) return;
    if (found < 0) {
      throw base::data_error(base::str(
          code_->place, ": the regular expression fails at byte ", from, " of a text of ",
          text.size(), " bytes: ", pcre_message(found), "; this pattern is not fit for this text"));
    }
    const size_t* offsets = pcre2_get_ovector_pointer(data);
    const Span match{offsets[0], offsets[1]};
    if (match.begin == match.end && match.end == last_end) {
      if (from >= text.size()) return;
      do ++from;
      while (from < text.size() && (static_cast<uint8_t>(text[from]) & 0xC0) == 0x80);
      continue;
    }
    matches.push_back(match);
    from = last_end = match.end;
  }
}

}  // namespace preimage::text
