// The rows of grpo's tables, each column named once. A value that does not exist is NaN.
#pragma once

#include <cstdint>
#include <string>

#include "preimage/store/columns.hpp"

namespace preimage::grpo {

using store::Columns;

// A sample of a pool with what the sandbox says about it.
struct PoolRow {
  std::string pool;
  int64_t step = 0, sample = 0;
  std::string problem_id;
  bool hint = false;
  double reward = 0;
  bool fmt_ok = false, can_compile = false, gt_pass = false, defines_tests = false;
  bool own_pass = false, vacuous = false, wrong_tests = false;
  bool hacked = false, strict_hack = false;
  std::string verdict, stop, prompt, completion;
  int64_t prompt_len = 0, comp_len = 0;
  bool stored_differs = false;
  void columns(Columns& c) const;
};

// One axis of one module.
struct DirectionRow {
  std::string basis, contrast, module, type;
  int64_t size = 0, first_knob = 0, axis = 0;
  double singular = 0, votes = 0;
  void columns(Columns& c) const;
};

// What the extraction as a whole found.
struct ExtractionRow {
  std::string basis, contrast;
  int64_t pairs = 0, modules_seen = 0, modules = 0, axes = 0;
  double noise_floor = 0, mean_k = 0;
  double heldout = 0, heldout_null = 0, heldout_null_sd = 0;
  int64_t heldout_pairs = 0;
  void columns(Columns& c) const;
};

// One sample of one step of one arm: the slim record's fields and what tells chains apart.
struct SampleRow {
  std::string arm, pass;
  int64_t step = 0, sample_id = 0;
  std::string src_pool;
  int64_t src_step = 0, src_sample = 0;
  double reward = 0;
  bool hacked = false, strict_hack = false, gt_pass = false, fmt_ok = false;
  int64_t prompt_len = 0, comp_len = 0;
  double adv = 0, loss = 0;
  double cos_s_contrib = 0, cos_sgn = 0, cos_nll = 0, cos_nll_stripped = 0;
  double grad_norm_contrib = 0;
  double cos_in_global = 0, cos_sgn_global = 0, cos_nll_global = 0;
  double mean_cos_in = 0, mean_cos_out = 0, frac_fired = 0, leak = 0, k_mean = 0;
  void columns(Columns& c) const;
};

struct StepRow {
  std::string arm, pass;
  int64_t step = 0;
  bool skipped = false;
  double reward_mean = 0, reward_range = 0, base_reward_max = 0;
  double loss = 0, loss_dr_grpo = 0;
  double cos_in = 0, cos_out = 0, cos_sgn = 0;
  double cos_in_global = 0, cos_out_global = 0, cos_sgn_global = 0;
  double cos_in_dr_grpo = 0, cos_sgn_dr_grpo = 0;
  double frac_fired = 0;
  bool over_projected = false;
  double grad_norm = 0, leak = 0, leak_sgn = 0, update_norm = 0, learning_rate = 0, k_mean = 0;
  double seconds = 0;
  void columns(Columns& c) const;
};

// What a step looks like in the modules of one type.
struct ModuleTypeRow {
  std::string arm, pass;
  int64_t step = 0;
  std::string type;
  int64_t modules = 0;
  double frac_fired = 0, cos_in = 0, cos_sgn = 0;
  void columns(Columns& c) const;
};

struct NullRow {
  std::string arm, pass, kind;
  int64_t draw = 0, step = 0;
  double cos_in = 0, cos_sgn = 0, cos_in_global = 0, cos_sgn_global = 0, frac_fired = 0;
  void columns(Columns& c) const;
};

struct NullTestRow {
  std::string arm, pass, kind, measure;
  double observed = 0, mean = 0, sd = 0, z = 0, p = 1;
  int64_t at_least = 0, draws = 0;
  void columns(Columns& c) const;
};

struct BucketRow {
  std::string arm, pass, src_pool;
  bool hacked = false, gt_pass = false;
  std::string measure;
  int64_t n = 0;
  double mean = 0, sd = 0, median = 0, low = 0, high = 0;
  void columns(Columns& c) const;
};

// A comparison of two sets of samples.
struct ComparisonRow {
  std::string arm, pass, comparison, measure;
  int64_t n_first = 0, n_second = 0, steps = 0;
  double difference = 0, low = 0, high = 0;
  double t = 0, df = 0, p = 1, t_student = 0, p_student = 1;
  double p_permutation = 1, auc = 0, auc_low = 0, auc_high = 0;
  void columns(Columns& c) const;
};

struct DecisionRow {
  std::string arm, pass, id;
  bool holds = false;
  std::string verdict;
  double value = 0, threshold = 0;
  std::string detail;
  void columns(Columns& c) const;
};

namespace table {
inline constexpr const char* pool = "grpo/pool";
inline constexpr const char* directions = "grpo/directions";
inline constexpr const char* extraction = "grpo/extraction";
inline constexpr const char* samples = "grpo/samples";
inline constexpr const char* steps = "grpo/steps";
inline constexpr const char* module_types = "grpo/module_types";
inline constexpr const char* nulls = "grpo/nulls";
inline constexpr const char* null_tests = "grpo/null_tests";
inline constexpr const char* buckets = "grpo/buckets";
inline constexpr const char* comparisons = "grpo/comparisons";
inline constexpr const char* decisions = "grpo/decisions";
}  // namespace table

namespace tensor {
inline constexpr const char* prompts = "grpo/prompt_ids";
inline constexpr const char* completions = "grpo/completion_ids";
inline constexpr const char* direction_vectors = "grpo/direction_vectors";
inline constexpr const char* pair_gradients = "grpo/pair_gradients";
inline constexpr const char* lora_a = "grpo/lora_a";
inline constexpr const char* adapters = "grpo/adapters";
}  // namespace tensor

store::Schemas grpo_schemas();

}  // namespace preimage::grpo
