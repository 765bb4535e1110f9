// The rows of the tables of ips, each column named once. A value that does not exist is NaN.
#pragma once

#include <cstdint>
#include <string>

#include "../fitness.hpp"
#include "preimage/base/statistics.hpp"
#include "preimage/store/columns.hpp"

namespace preimage::ips {

using store::Columns;

struct TargetRow {
  std::string target_id, language, license, code;
  int64_t tokens = 0, stated_tokens = 0, most_tokens = 0, corridor_low = 0, probes = 0;
  double bits = 0;
  int64_t gzip_bytes = 0, hand_prompts = 0;
  double best_manual = 0, noise_ceiling = 0;
  std::string verdict;
  void columns(Columns& c) const;
};

struct EvaluationRow {
  std::string target_id, method;
  int64_t seed = 0, generation = 0, index = 0;
  std::string operation, parents, prompt, prompt_ids;
  Terms terms;
  Fitness fitness;
  std::string level, failed;
  bool accepted = false, cache_hit = false;
  int64_t calls = 0;
  void columns(Columns& c) const;
};

// What the model wrote for a prompt: one row for each distinct prompt of a target.
struct CompletionRow {
  std::string target_id, prompt, completion_ids, completion, completion_hash;
  double seconds = 0;
  void columns(Columns& c) const;
};

struct AcceptedRow {
  std::string target_id, method;
  int64_t seed = 0, index = 0, calls = 0;
  std::string prompt, prompt_ids, completion, completion_ids, level;
  Terms terms;
  Fitness fitness;
  double ratio = 0, prompt_bits = 0;
  std::string batches;
  bool repeats_equal = false, accepted = false;
  void columns(Columns& c) const;
};

struct SummaryRow {
  std::string target_id, method;
  int64_t seed = 0, calls_requested = 0, calls_executed = 0, cache_hits = 0, nll_passes = 0,
          gradient_calls = 0, proposal_calls = 0, generations = 0;
  int64_t calls_to_success = -1, generations_to_success = -1;
  bool censored = true;
  int64_t successes = 0;
  double best_fitness = kUndefined, best_match = kUndefined;
  std::string best_prompt;
  int64_t best_tokens = 0;
  std::string level, stop_rule;
  void columns(Columns& c) const;
};

struct DiversityRow {
  std::string target_id, method;
  int64_t prompts = 0;
  double self_bleu_2 = kUndefined, self_bleu_4 = kUndefined;
  double distance_mean = kUndefined, distance_min = kUndefined, distance_10 = kUndefined,
         distance_50 = kUndefined, distance_90 = kUndefined;
  int64_t clusters = 0;
  double silhouette = kUndefined, paraphrase_90 = kUndefined, other_targets = kUndefined;
  bool diverse = false, reliable = false;
  void columns(Columns& c) const;
};

struct NegativeRow {
  std::string target_id, test, prompt;
  int64_t prompt_tokens = 0;
  double match = 0;
  std::string level, failed;
  bool accepted = false, as_expected = false;
  void columns(Columns& c) const;
};

struct DecisionRow {
  std::string hypothesis, statement;
  base::Interval value;
  int64_t count = 0;
  double p = kUndefined, threshold = kUndefined;
  std::string verdict;
  void columns(Columns& c) const;
};

struct RlTrainingRow {
  std::string target_id, method;
  int64_t seed = 0, update = 0;
  double episode_return = 0, policy_loss = 0, value_loss = 0, entropy = 0, divergence = 0,
         gradient_norm = 0;
  int64_t epochs = 0;
  void columns(Columns& c) const;
};

namespace table {
inline constexpr const char* targets = "ips/targets";          // TargetRow
inline constexpr const char* evaluations = "ips/evaluations";  // EvaluationRow
inline constexpr const char* completions = "ips/completions";  // CompletionRow
inline constexpr const char* accepted = "ips/accepted";        // AcceptedRow
inline constexpr const char* summary = "ips/summary";          // SummaryRow
inline constexpr const char* diversity = "ips/diversity";      // DiversityRow
inline constexpr const char* negative = "ips/negative";        // NegativeRow
inline constexpr const char* rl_training = "ips/rl_training";  // RlTrainingRow
inline constexpr const char* decisions = "ips/decisions";      // DecisionRow
}  // namespace table

namespace tensor {
inline constexpr const char* embeddings = "ips/prompt_embeddings";  // f64 [d] an item
}  // namespace tensor

store::Schemas ips_schemas();

}  // namespace preimage::ips
