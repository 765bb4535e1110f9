// Regular expressions in Python's syntax, as the settings of adapters hold them (re.match and
// re.fullmatch), under a limit of steps: a pattern of a stranger's file cannot hang the program.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace preimage::text {

class Pattern {
 public:
  // `place` starts every message. ExitCode::bad_data where the expression is not understood.
  Pattern(const std::string& expression, const std::string& place);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  bool matches_start(std::string_view text) const;  // re.match
  bool matches_whole(std::string_view text) const;  // re.fullmatch
  // re.match: what the group of that name holds.
  std::optional<std::string> named_group(std::string_view text, const std::string& name) const;

 private:
  struct Code;
  std::unique_ptr<const Code> code_;
};

}  // namespace preimage::text
