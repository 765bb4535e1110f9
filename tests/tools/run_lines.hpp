// Runs a line tool in this process, as run_line_tool does on one rank.
#pragma once

#include <numeric>
#include <string>
#include <vector>

#include "jsonl.hpp"
#include "preimage/base/json.hpp"
#include "tools.hpp"

namespace preimage::tools {

// Outputs of all lines, one behind the other.
inline std::vector<base::Json> run(LineTool& tool, const std::vector<base::Json>& lines) {
  tool.prepare(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string text = lines[i].dump();
    const auto line = parse_line({static_cast<int64_t>(i) + 1, text}, "F");
    tool.read(i, base::JsonNode(line, "F:" + std::to_string(i + 1)), text);
  }
  tool.load(c10::kCPU);
  std::vector<size_t> all(lines.size());
  std::iota(all.begin(), all.end(), 0);
  std::vector<base::Json> out;
  for (auto& outputs : tool.run(all)) {
    for (auto& one : outputs) out.push_back(std::move(one));
  }
  return out;
}

}  // namespace preimage::tools
