// Runs a line tool in this process, as run_line_tool does on one rank.
#pragma once

#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/lines/tokenize.hpp"
#include "tools.hpp"

namespace preimage::tools {

// Keeps what comes, each line once.
struct Collected : Results {
  explicit Collected(size_t lines) : outputs(lines) {}
  void done(size_t place, Outputs made) override {
    EXPECT_FALSE(outputs.at(place).has_value()) << "line " << place << " twice";
    outputs.at(place) = std::move(made);
  }
  std::vector<std::optional<Outputs>> outputs;
};

// Outputs of all lines of a file, one behind the other.
inline std::vector<base::Json> run_text(LineTool& tool, std::string_view text) {
  const auto lines = lines::split_lines(text);
  tool.prepare(lines.size());
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto line = lines::parse_line(lines[i], "F");
    tool.read(i, base::JsonNode(line, "F:" + std::to_string(i + 1)), lines[i].text);
  }
  tool.load("cpu");
  std::vector<size_t> all(lines.size());
  std::iota(all.begin(), all.end(), 0);
  Collected results(lines.size());
  tool.run(all, results);
  std::vector<base::Json> out;
  for (auto& outputs : results.outputs) {
    EXPECT_TRUE(outputs.has_value()) << "a line without a result";
    for (auto& one : outputs.value_or(Outputs())) out.push_back(std::move(one));
  }
  return out;
}

inline std::vector<base::Json> run(LineTool& tool, const std::vector<base::Json>& lines) {
  std::string text;
  for (const auto& line : lines) text += line.dump() + "\n";
  return run_text(tool, text);
}

}  // namespace preimage::tools
