// The engine usable by itself: `preimage generate`, `score`, `embed` and `tokenize`.
#pragma once

#include <memory>

#include "engine.hpp"
#include "line_tool.hpp"

namespace preimage::tools {

std::unique_ptr<LineTool> make_generate(const EngineOptions& options);

// `top`: also that many best (id, log-probability) at each place.
std::unique_ptr<LineTool> make_score(const EngineOptions& options, int64_t top);

// `pooling`: pipeline (as the checkpoint's modules.json says) | mean | first.
std::unique_ptr<LineTool> make_embed(const EngineOptions& options, const std::string& pooling);

struct TokenizeOptions {
  std::filesystem::path model;
  bool add_special = false, skip_special = false;
};
std::unique_ptr<LineTool> make_tokenize(const TokenizeOptions& options);

}  // namespace preimage::tools
