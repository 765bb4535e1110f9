#include "preimage/text/pattern.hpp"

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"
#include "regex/pcre.hpp"

namespace preimage::text {
namespace {

// Of one match; a module's path has some fifty bytes.
constexpr PcreLimits kLimits{.match = 1'000'000, .heap_kib = 16 * 1024};

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
using MatchData = std::unique_ptr<pcre2_match_data, MatchDataDeleter>;

}  // namespace

struct Pattern::Code : PcreCode {
  using PcreCode::PcreCode;
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

Pattern::Pattern(const std::string& expression, const std::string& place)
    : code_(std::make_unique<const Code>(expression, place, kLimits)) {}

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
