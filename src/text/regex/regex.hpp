// The regular expressions of tokenizer files. They are written for Oniguruma (Ruby syntax,
// Unicode); here PCRE2 runs them after a translation that keeps the meaning or refuses the pattern.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pieces.hpp"

namespace preimage::text {

// The PCRE2 pattern with the meaning that Oniguruma gives to `pattern`. Throws ExitCode::bad_data
// with `place`, the offset and the construct where the two engines differ and no translation is
// known.
std::string translate_pattern(std::string_view pattern, const std::string& place);
// The pattern that matches `text` literally.
std::string escape_pattern(std::string_view text);

class Regex {
 public:
  // A pattern in PCRE2's own syntax (see translate_pattern).
  Regex(const std::string& pattern, const std::string& place);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Scratch memory of one thread; make one for many calls.
  class Scratch {
   public:
    explicit Scratch(const Regex& regex);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class Regex;
    void* match_data_;
  };

  // All matches in `text` (well-formed UTF-8) from left to right, not overlapping; an empty match
  // directly after a match is skipped. Throws ExitCode::bad_data when the pattern needs more than
  // the match limit of backtracking steps.
  void find_all(std::string_view text, Scratch& scratch, std::vector<Span>& matches) const;

 private:
  struct Code;
  std::unique_ptr<const Code> code_;
};

}  // namespace preimage::text
