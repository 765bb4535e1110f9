// What a run of ips is made of before its first unit.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "arms/prompt_source.hpp"
#include "config.hpp"
#include "embedding.hpp"
#include "preimage/eval/evaluation.hpp"
#include "preimage/eval/text_model.hpp"
#include "preimage/sandbox/judge.hpp"
#include "targets.hpp"

namespace preimage::ips {

struct Setup {
  IpsConfig config;
  uint64_t seed = 0;
  eval::TextModel model;
  eval::ModelIdentity identity;
  std::vector<int64_t> stop_ids;
  std::vector<Target> targets;
  std::vector<HandPrompt> hand;
  std::vector<PromptSource> prompts;  // for each target; prompts by hand are those of the others
  std::vector<bool> readable;         // by token id
  std::optional<Embedding> embedding;
  std::vector<Vector> target_vectors;  // of `normal`
  double unrelated = 0;                // c0: mean cosine of prompts by hand and other targets
  int64_t unrelated_pairs = 0;
  std::function<sandbox::Judge&()> judge;  // made when the first program is to be run
};

// What the model reads for a prompt, and where the prompt's own tokens stand in it.
struct ModelInput {
  std::vector<int64_t> ids;
  int64_t prompt_begin = -1;  // -1: the template changed the prompt's tokens
  int64_t prompt_tokens = 0;
};
ModelInput model_input(const Setup& setup, const std::string& prompt);

// Tokens that an answer for the target may have.
int64_t answer_limit(const Setup& setup, const Target& target);
// Tokens of the longest prompt that is tried, the target itself behind an instruction (a negative
// test), with its answer.
int64_t longest_sequence(const Setup& setup, const Target& target);
// Throws ExitCode::bad_data for a target that does not fit into model.context, or the model.
void require_context(const Setup& setup);
// The token in front of a text that is read by itself: beginning of text, or its end.
int64_t start_id(const eval::TextModel& model);

}  // namespace preimage::ips
