// One compiled template.
#pragma once

#include <string>
#include <string_view>

#include "jinja/interpreter.hpp"

namespace preimage::text::jinja {

class Template {
 public:
  // ExitCode::bad_data: `place`, line, what is wrong or not supported.
  Template(std::string_view source, std::string place);
  // Likewise. `context`: the variables by name.
  Rendering render(const Dict& context, const Limits& limits = {}) const;
  const std::string& source() const { return source_; }

 private:
  std::string source_, place_;
  Tree tree_;
};

}  // namespace preimage::text::jinja
