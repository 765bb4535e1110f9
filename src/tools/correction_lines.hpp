// The lines of `generate` that ask for corrections of a vec2text inversion: "steps" above 0.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "beam_lines.hpp"
#include "engine.hpp"
#include "preimage/lm/t5/correct.hpp"

namespace preimage::tools {

class CorrectionLines {
 public:
  explicit CorrectionLines(const Engine& engine) : engine_(engine) {}

  static std::vector<std::string> fields();
  static bool asked_by(const base::JsonNode& line);

  // Checks the folders of --corrector and --embedder, where they are given.
  void prepare(size_t lines);
  void load(c10::Device device);
  // Thread-safe for different indices.
  void read(size_t index, const base::JsonNode& line);

  bool has(size_t index) const { return requests_[index].has_value(); }
  // Corrections for lines that are kept here.
  void run(const Places& places, Results& results) const;

 private:
  base::Json output(const lm::Corrected& one) const;

  const Engine& engine_;
  std::optional<text::Tokenizer> tokenizer_;  // the embedder's
  std::shared_ptr<const lm::Vec2Text> corrector_;
  std::shared_ptr<const lm::Encoder> embedder_;
  std::vector<std::optional<lm::CorrectionRequest>> requests_;
};

}  // namespace preimage::tools
