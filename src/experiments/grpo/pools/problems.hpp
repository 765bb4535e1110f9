// The problems of a run, and what a policy reads of each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "preimage/data/programs.hpp"
#include "preimage/eval/text_model.hpp"

namespace preimage::grpo {

struct GrpoConfig;

struct Problem {
  data::ProgramProblem source;
  std::string prompt, hint_prompt;  // in words
};

struct Problems {
  std::vector<Problem> list;
  std::vector<std::string> notes;  // counts, and what was left out
};

// ExitCode::bad_data for a malformed file, a hint that does not fit its prompt exactly once, and an
// empty choice. Problems whose prompt, as the tokenizer of `model` counts, is too long are left
// out.
Problems load_problems(const GrpoConfig& config, const eval::TextModel& model);

// The token ids that a policy reads: with a chat template the conversation.
std::vector<int64_t> policy_prompt(const GrpoConfig& config, const eval::TextModel& model,
                                   const std::string& prompt);

// The token that stands behind a whole answer: what the policy was trained to end with. Nothing
// where the checkpoint names none.
std::optional<int64_t> end_of_answer(const eval::TextModel& model);

}  // namespace preimage::grpo
