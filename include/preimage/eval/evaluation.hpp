// What is asked about a prompt, and what came out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "preimage/base/json.hpp"
#include "preimage/lm/generate/sampling.hpp"
#include "preimage/lm/model.hpp"

namespace preimage::eval {

// What the model reads and writes, and against what its answer is measured.
struct PromptRequest {
  std::vector<int64_t> prompt;  // exact ids, those of the template included
  std::string target;           // id of the target or item: the scorer's, and part of the key
  int64_t n = 1;                // answers; 0: only the loss below
  int64_t max_new_tokens = 128;
  std::vector<int64_t> stop_ids;
  std::vector<std::string> stop;  // texts that end an answer
  lm::SamplingOptions sampling;   // answer i is drawn with (seed, i)
  // Ids whose teacher-forced loss behind the prompt is wanted, the end-of-text token among them
  // where it counts; empty: no loss.
  std::vector<int64_t> target_ids;
};

struct Answer {
  std::vector<int64_t> ids;  // without the stop token
  std::string text;          // up to a stop string
  std::string stop;          // "eos", "stop" or "length"
  int64_t tokens = 0;        // of ids
  std::string hash;          // of ids and `stop`: 32 hex digits
  double logprob_sum = 0;    // nats, under the raw model
  // The smallest gap between the best and the second log-probability of a step, nats; NaN without
  // a step or where it was not asked for (PromptEvaluatorOptions::margins).
  double margin = 0;
  base::Json terms = base::Json::object();  // what the scorer found
};

struct Evaluation {
  std::string key;                // 32 hex digits: evaluation_key()
  std::vector<Answer> answers;    // n
  bool has_nll = false;           // target_ids were given:
  std::vector<float> target_nll;  // -log p of each, nats
  double nll = 0;                 // their mean
  bool target_greedy = false;     // each is the argmax
  double seconds = 0;             // measured: from submission to result
};

// What decides a model's answers beside the request.
struct ModelIdentity {
  std::string model;    // its name in the results
  std::string weights;  // SHA-256 over the files that checkpoint_identity() lists, adapter included
  std::string dtype;    // "Float", "BFloat16": as c10 names it
  std::string format;   // weight_format_name()
  std::string templates;  // SHA-256 of the chat template's files; "" where prompts are plain text
};

// Reads every file once (about 1.8 GB/s). Throws what base::sha256_hex_of_file throws.
ModelIdentity model_identity(const std::filesystem::path& folder, const lm::LoadOptions& options,
                             bool chat);

// Equal for requests that must give the same Evaluation: a hash of the model, the exact prompt ids,
// the target, and all that decides what is written and measured. The weights of a fitness are no
// part of it: terms are kept, not their sum.
std::string evaluation_key(const ModelIdentity& model, const PromptRequest& request);

}  // namespace preimage::eval
