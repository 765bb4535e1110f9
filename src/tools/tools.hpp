// The engine usable by itself: `preimage generate`, `score` and `embed`.
#pragma once

#include <memory>

#include "engine.hpp"
#include "preimage/cluster/session.hpp"

namespace preimage::tools {

std::unique_ptr<LineTool> make_generate(const EngineOptions& options);

// `top`: also that many best (id, log-probability) at each place.
std::unique_ptr<LineTool> make_score(const EngineOptions& options, int64_t top);

// `pooling`: pipeline (as the checkpoint's modules.json says) | mean | first.
std::unique_ptr<LineTool> make_embed(const EngineOptions& options, const std::string& pooling);

// lines::run_lines on all ranks, each on its own device; returns the exit code. Collective.
int run_line_tool(const cluster::Session& session, const lines::LineOptions& options,
                  LineTool& tool);

}  // namespace preimage::tools
