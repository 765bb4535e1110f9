// Everything a grpo job says, with the plan's settings as defaults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "measure/directions.hpp"
#include "pools/grader.hpp"
#include "preimage/base/config.hpp"
#include "preimage/eval/sandbox_config.hpp"
#include "preimage/optim/adam.hpp"
#include "sweep/config.hpp"

namespace preimage::grpo {

struct ModelConfig {
  std::string dir;  // checkpoint folder
  std::string dtype = "bfloat16";
  bool chat = false;  // prompts are user messages in the checkpoint's chat template
  std::string system;
  bool thinking = false;  // template variable enable_thinking
  void fields(base::Fields& f);
};

// The prompts of a problem, with the loophole named and without.
struct PromptConfig {
  std::string pattern = "{text}";       // with {text}, {tests}, {starter}, {entry_point}
  std::string hint_find, hint_replace;  // in the pattern's result: comes once, and becomes this
  int64_t shown_tests = -1;             // -1: all
  void fields(base::Fields& f);
};

struct ProblemsConfig {
  std::string kind, path;
  std::string split;              // "": of any
  std::vector<std::string> ids;   // empty: all
  int64_t skip = 0, limit = 0;    // of those that are left; limit 0: all
  int64_t max_prompt_tokens = 0;  // longer prompts are left out; 0: none is
  void fields(base::Fields& f);
};

struct PoolsConfig {
  ProblemsConfig problems;
  PromptConfig prompt;
  GraderOptions grader;
  std::vector<std::string> replay;  // folders of stored pools: teacher's, base's; empty: generate
  std::string teacher;              // LoRA folder of the policy that writes the teacher's pool
  int64_t samples = 8;              // of a step of a pool
  int64_t max_new_tokens = 1536;
  double temperature = 0.7, top_p = 0.95;
  std::vector<std::string> stop;
  int64_t batch = 64;
  void fields(base::Fields& f);
};

struct ExtractionConfig {
  std::string pairs;  // file; hack_pairs.md takes a selector: FILE#section/prefix@tag
  int64_t heldout = 2;
  std::string loss = "nll";  // or grpo
  ExtractionOptions axes;
  void fields(base::Fields& f);
};

struct NullsConfig {
  int64_t draws = 100;
  std::vector<std::string> kinds = {"random", "shuffled", "anisotropic"};
  std::string style_pairs;  // pairs of clean completions that differ in style
  void fields(base::Fields& f);
};

struct ProbeConfig {
  std::vector<std::string> arms = {"vanilla", "projected", "projected_lora"};
  std::vector<std::string> passes = {"trained", "frozen"};
  int64_t steps = 20;
  std::string loss = "grpo";         // or nll
  std::string denominator = "plan";  // of the updates: plan, dr_grpo, classic
  bool both_halves = false;          // each step twice: samples 0.., then the others
  std::string factors;               // folder of singular-value factors; "": the run's own
  int64_t lora_rank = 32;
  double lora_alpha = 32;
  double lr = 7e-5;
  optim::AdamOptions adam = {.beta2 = 0.99, .weight_decay = 0.1};
  double momentum = 0.9;  // of arm projected_sgd
  int64_t batch_tokens = 8192;
  bool keep_adapters = false;
  void fields(base::Fields& f);
};

struct GrpoConfig {
  std::string stage = "probe";  // phase 2; or "sweep": on-policy training, phase 3
  ModelConfig model;
  PoolsConfig pools;
  ExtractionConfig extraction;
  ProbeConfig probe;
  NullsConfig nulls;
  SweepConfig sweep;
  ProblemsConfig test;  // of the sweep's evaluations
  eval::SandboxConfig sandbox;
  int64_t bootstrap_draws = 2000;

  void fields(base::Fields& f);
  // Rules between fields, and that the files are there; all errors at once.
  base::ConfigErrors check() const;
};

}  // namespace preimage::grpo
