#include "preimage/text/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::text {
namespace {

// Of one match; a module's path has some fifty bytes.
constexpr uint32_t kMatchLimit = 1'000'000;
constexpr uint32_t kHeapLimitKib = 16 * 1024;

std::string pcre_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
using MatchData = std::unique_ptr<pcre2_match_data, MatchDataDeleter>;

}  // namespace

struct Pattern::Code {
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
  // Null where there is no match.
  MatchData match(std::string_view text, uint32_t options) const {
    MatchData data(pcre2_match_data_create_from_pattern(code, nullptr));
    base::check(data != nullptr, "PCRE2 gives match data");
    const int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                  PCRE2_ANCHORED | options, data.get(), context);
    if (found == PCRE2_ERROR_NOMATCH) return nullptr;
    if (found < 0)
      throw base::data_error(base::str(place, ": the regular expression fails on \"", text,
                                       "\": ", pcre_message(found)));
    return data;
  }
};

Pattern::Pattern(const std::string& expression, const std::string& place) {
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
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &offset, compile);
  pcre2_compile_context_free(compile);
  if (!code->code) {
    throw base::data_error(base::str(place, ": the regular expression is refused at byte ", offset,
                                     ": ", pcre_message(error)));
  }
  code->context = pcre2_match_context_create(nullptr);
  base::check(code->context != nullptr, "PCRE2 gives a match context");
  pcre2_set_match_limit(code->context, kMatchLimit);
  pcre2_set_heap_limit(code->context, kHeapLimitKib);
  code_ = std::move(code);
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern&&) noexcept = default;
Pattern& Pattern::operator=(Pattern&&) noexcept = default;

bool Pattern::matches_start(std::string_view text) const {
  return code_->match(text, 0) != nullptr;
}

bool Pattern::matches_whole(std::string_view text) const {
  return code_->match(text, PCRE2_ENDANCHORED) != nullptr;
}

std::optional<std::string> Pattern::named_group(std::string_view text,
                                                const std::string& name) const {
  const auto data = code_->match(text, 0);
  if (!data) return std::nullopt;
  PCRE2_UCHAR* found = nullptr;
  size_t size = 0;
  if (pcre2_substring_get_byname(data.get(), reinterpret_cast<PCRE2_SPTR>(name.c_str()), &found,
                                 &size) != 0)
    return std::nullopt;
  std::string out(reinterpret_cast<const char*>(found), size);
  pcre2_substring_free(found);
  return out;
}

}  // namespace preimage::text
