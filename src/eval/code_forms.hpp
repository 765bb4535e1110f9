// Syntax trees of Python programs, compared by hash: made in the sandbox, many in one request.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "preimage/sandbox/program.hpp"

namespace preimage::eval {

struct CodeForms {
  bool parses = false;
  std::string tree;     // L1: "" where it does not parse
  std::string renamed;  // L2
};

// Parses the programs and runs none of them.
sandbox::Request code_forms_request(const std::vector<std::string>& programs);
// One for each program; nothing where the request failed as a whole.
std::optional<std::vector<CodeForms>> code_forms(const sandbox::Record& record, size_t programs);

}  // namespace preimage::eval
