// Everything a verifier job says, with the plan's settings as defaults.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arms/losses.hpp"
#include "arms/training.hpp"
#include "pairs.hpp"
#include "preimage/base/config.hpp"
#include "preimage/eval/sandbox_config.hpp"

namespace preimage::verifier {

struct SetConfig {
  std::string kind, path;  // "": no such set
  void fields(base::Fields& f);
};

struct DataConfig {
  SetConfig problems;                // train, and test unless there is `test`
  SetConfig test;                    // another set that is tested on
  std::string candidates;            // labelled programs instead of generating them
  std::vector<std::string> exclude;  // ids of problems that are left out
  double validation_share = 0.1;     // of train problems, where none are published
  double test_share = 0.2;  // of the problems of `candidates`, where the file names no split
  double leak_limit = 0.8;  // trigram Jaccard of prompts across splits
  int64_t train_limit = 0, test_limit = 0;  // problems; 0: all
  int64_t validation_limit = 0;             // published ones; 0: train_limit
  void fields(base::Fields& f);
};

struct GenerationConfig {
  std::string model;  // checkpoint folder
  std::string dtype = "float32";
  std::string prompt = "{text}\n{tests}";
  std::string test_prompt;   // of test problems, where they are another set; "": the same
  int64_t shown_tests = -1;  // in the prompt; -1: all
  bool chat = false;         // the prompt is a user's message in the checkpoint's chat template
  std::string system;        // message before it; "": the template's own
  bool continues = false;    // the program is the prompt's starter with the completion behind it
  std::vector<std::string> stop;
  double temperature = 1;
  double top_p = 1;
  int64_t top_k = 0;
  int64_t max_new_tokens = 512;
  int64_t train_candidates = 100, test_candidates = 16;
  int64_t block = 100;  // candidates of a unit of work
  int64_t batch = 64;   // sequences in flight
  void fields(base::Fields& f);
};

struct ArmsConfig {
  std::vector<std::string> kinds = {"ouroboros"};
  std::string tokenizer;          // folder; "": the generator's
  std::string prompt = "{text}";  // what the verifier sees
  int64_t shown_tests = 0;        // in it; -1: all
  bool border = true;             // end-of-text between prompt and program
  int64_t max_tokens = 1024;
  int64_t hidden_size = 512, layers = 12, heads = 8;  // ouroboros
  std::string energy = "sigmoid";                     // or raw
  int64_t tuned_layers = 2;                           // generator, likelihood
  double scale = 0.3, offset = 0;                     // likelihood: at the start
  double state_mb = 4096;                             // likelihood: of frozen states kept
  void fields(base::Fields& f);
};

struct VerifierConfig {
  DataConfig data;
  GenerationConfig generation;
  eval::SandboxConfig sandbox;
  ArmsConfig arms;
  MiningOptions pairs;
  std::vector<std::string> losses = {"margin"};
  LossOptions loss;
  TrainingOptions train;
  int64_t training_seeds = 3;
  std::string labels = "true";  // shuffled, token: checks of the pipeline
  int64_t bootstrap_draws = 10000;
  int64_t calibration_bins = 10;
  bool keep_inputs = false;
  bool score_training = true;  // energies of the training problems too

  void fields(base::Fields& f);
  // Rules between fields, and that the files are there; all errors at once.
  base::ConfigErrors check() const;
  bool generates() const { return data.candidates.empty(); }
  bool has_arm(const std::string& kind) const;
  bool reads_generator() const { return has_arm("generator") || has_arm("likelihood"); }
  const std::string& tokenizer_folder() const {
    return arms.tokenizer.empty() ? generation.model : arms.tokenizer;
  }
};

}  // namespace preimage::verifier
