// Instructions: how one is made of what a model wrote, and the pool of them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"

namespace preimage::lipo {

struct Instruction {
  int64_t id = 0;  // its place in the pool
  std::string style;
  std::string text;
  bool operator==(const Instruction&) const = default;
};

// The first line of a completion without a leading label ("Instruction:", "1.", "-") and without a
// pair of quotes around it; nothing when less than 1 or more than `max_length` characters are left.
std::optional<std::string> clean_instruction(const std::string& completion, int64_t max_length);

// What two texts that count as one share: case folded (ASCII), white space collapsed.
std::string folded(const std::string& text);

// A cache of instructions: {"instructions": [{"style", "text", "id"?}, ...], "calls"?}, or a list
// of texts, or of such objects. Texts that are folded alike come once.
struct InstructionFile {
  std::vector<Instruction> instructions;
  int64_t calls = 0;  // of a model, that writing them took; 0 where the file does not say
};
// Throws ExitCode::bad_data with the file, the place and what was expected.
InstructionFile read_instructions(const std::string& path);
std::string instructions_json(const std::vector<Instruction>& instructions, int64_t calls);

// Evaluations that another program made: {"results": [{"instruction" or "text", "error", "fidelity"
// ("items"), "style"?}, ...]}, such a list, or JSON lines of them (full_grid_combined.jsonl, whose
// "instruction_text" and "error_rate" are read too). Of several lines of one text the one of most
// items counts.
struct KnownError {
  std::string style, text;
  int64_t wrong = 0, items = 0;
  double error() const { return static_cast<double>(wrong) / static_cast<double>(items); }
};
std::vector<KnownError> read_evaluations(const std::string& path, int64_t items);

}  // namespace preimage::lipo
