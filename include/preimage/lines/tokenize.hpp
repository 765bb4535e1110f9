// `preimage tokenize`: texts and conversations to token ids, and back.
#pragma once

#include <filesystem>
#include <memory>

#include "preimage/lines/line_tool.hpp"

namespace preimage::lines {

struct TokenizeOptions {
  std::filesystem::path model;
  bool add_special = false, skip_special = false;
};
std::unique_ptr<LineTool> make_tokenize(const TokenizeOptions& options);

}  // namespace preimage::lines
