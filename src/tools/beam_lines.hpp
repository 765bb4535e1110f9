// The lines of `generate` that ask for beams: "num_beams" above 1.
#pragma once

#include <optional>
#include <vector>

#include "engine.hpp"
#include "preimage/lm/generate/beam_search.hpp"

namespace preimage::tools {

class BeamLines {
 public:
  explicit BeamLines(const Engine& engine) : engine_(engine) {}

  // Names of the fields that are read here and nowhere else.
  static std::vector<std::string> fields();
  static bool asked_by(const base::JsonNode& line);
  // Numbers of beams and tokens, and penalties.
  static void read_search(const base::JsonNode& line, lm::BeamRequest& request);

  void resize(size_t lines) { items_.resize(lines); }
  // Checks and keeps a line that asks for beams; `prompt` are its tokens, where it has any.
  // Thread-safe for different indices.
  void read(size_t index, const base::JsonNode& line,
            const std::optional<std::vector<int64_t>>& prompt);

  bool has(size_t index) const { return items_[index].has_value(); }
  // Beams for lines that are kept here.
  void run(const Places& places, Results& results) const;

 private:
  struct Item {
    lm::BeamRequest request;
    EmbeddingFields embedding;
    int64_t top = 0;
  };
  std::vector<std::vector<lm::Hypothesis>> search(
      const std::vector<lm::BeamRequest>& requests) const;
  base::Json output(const lm::Hypothesis& one, const lm::BeamRequest& request, int64_t top) const;

  const Engine& engine_;
  std::vector<std::optional<Item>> items_;
};

}  // namespace preimage::tools
