#include "regex/regex.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "regex/pcre.hpp"

namespace preimage::text {
namespace {

// Backtracking steps of one match: linear patterns need about one for each byte of a run.
constexpr PcreLimits kLimits{.match = 10'000'000, .heap_kib = 64 * 1024};

}  // namespace

struct Regex::Code : PcreCode {
  using PcreCode::PcreCode;
};

Regex::Regex(const std::string& pattern, const std::string& place)
    : code_(std::make_unique<const Code>(pattern, place, kLimits, " of its translation")) {
  // Without executable memory the interpreter does the same, more slowly.
  pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE);
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
