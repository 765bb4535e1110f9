// Everything an ips job says, with the plan's settings as defaults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arms/genetic.hpp"
#include "arms/policy_search.hpp"
#include "arms/preferences.hpp"
#include "arms/proposals.hpp"
#include "arms/token_swaps.hpp"
#include "fitness.hpp"
#include "preimage/base/config.hpp"
#include "preimage/eval/sandbox_config.hpp"

namespace preimage::ips {

// The frozen model M, and how a prompt and an answer are put to it.
struct ModelConfig {
  std::string dir, adapter;
  std::string dtype = "float32";
  std::string weights = "decoded";
  bool chat = true;                  // prompts are messages of the checkpoint's chat template
  std::string system;                // of the chat template; "": its own
  std::string pattern = "{prompt}";  // the user's message, or without a template all that is read
  std::string answer_start;          // behind the template: "<|channel|>final<|message|>"
  // What the model should write of a target, for its teacher-forced loss.
  std::string answer = "{code}";
  int64_t context = 5120;  // tokens of the longest prompt and answer together
  void fields(base::Fields& f);
};

struct DataConfig {
  std::string targets;            // JSON Lines
  std::vector<std::string> only;  // ids; empty: all
  int64_t limit = 0;              // the first so many; 0: all
  std::string hand;               // prompts by hand, JSON Lines of target and prompt
  std::string words;              // what prompts are made of: a word or a phrase a line
  std::string templates;          // a line each, with {words}
  std::string synonyms;           // a group of words a line
  double most_ratio = 7;          // a prompt has at most |T| / this many tokens
  double corridor_ratio = 10;     // the plan's corridor goes down to |T| / this; shorter is allowed
  void fields(base::Fields& f);
};

struct GenerationConfig {
  int64_t spare_tokens = 16;  // that an answer may have beyond 5/4 of the target
  int64_t batch = 64;         // sequences in flight
  void fields(base::Fields& f);
};

struct SearchConfig {
  std::vector<std::string> methods = {"propose",   "random", "ga",        "swap",
                                      "swap_free", "ppo",    "reinforce", "dpo"};
  int64_t seeds = 5;
  int64_t calls = 5000;   // that each (target, method, seed) may execute
  int64_t successes = 1;  // distinct accepted prompts after which it ends
  void fields(base::Fields& f);
};

struct DiversityConfig {
  int64_t least = 5;  // accepted prompts of a target
  int64_t most_clusters = 8;
  int64_t restarts = 20;
  std::string encoder;  // folder of the text encoder of copies and clusters; "": the model
  void fields(base::Fields& f);
};

struct DecisionConfig {
  double simplify = 0.5;        // a target whose best prompt by hand has a smaller S is dropped
  double manual_share = 0.25;   // H1: of the targets have an accepted prompt by hand
  int64_t manual_targets = 20;  // H1: fewer targets give no verdict
  int64_t paired_seeds = 5;     // H2: fewer give no verdict
  double diverse_share = 0.25;  // H3: of the targets with enough accepted prompts
  int64_t false_pairs = 200;    // wrong pairs of prompt and target that must be tried
  void fields(base::Fields& f);
};

struct NegativeConfig {
  bool run = true;
  int64_t noise_draws = 20;  // random prompts of each target
  void fields(base::Fields& f);
};

struct IpsConfig {
  ModelConfig model;
  DataConfig data;
  GenerationConfig generation;
  eval::SandboxConfig sandbox;
  int64_t probes = 8;  // of each Python target; 0: programs are not run
  FitnessWeights fitness;
  AcceptOptions accept;
  SearchConfig search;
  GeneticOptions ga;
  ProposalOptions propose;
  SwapOptions swap;
  PolicyOptions rl;
  PreferenceSearchOptions dpo;
  DiversityConfig diversity;
  NegativeConfig negative;
  DecisionConfig decide;
  int64_t bootstrap_draws = 10000;

  void fields(base::Fields& f);
  // Rules between fields, and that the files are there; all errors at once.
  base::ConfigErrors check() const;
};

}  // namespace preimage::ips
