// How the next token is chosen from a row of logits. The processors are those of transformers, in
// its order: repetition penalty, repeated n-grams, temperature, top-k, top-p, min-p.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "preimage/base/random.hpp"

namespace preimage::lm {

struct SamplingOptions {
  double temperature = 0;  // 0: greedy; the lowest id wins a tie
  int64_t top_k = 0;       // 0: all; all of a tie at the k-th place stay
  double top_p = 1;        // (0, 1]; Holtzman et al. 2020; of a tie at the edge the lowest ids
  double min_p = 0;        // [0, 1]: of the best token's probability; Nguyen et al. 2024
  double repetition_penalty = 1;  // > 0; Keskar et al. 2019: of every id of prompt and completion
  int64_t no_repeat_ngram = 0;    // 0: none; no n-gram of prompt and completion comes twice
  uint64_t seed = 0;              // with the candidate's index, the key of its random numbers

  bool greedy() const { return temperature == 0; }
  bool looks_back() const { return repetition_penalty != 1 || no_repeat_ngram > 0; }
};

// Throws ExitCode::bad_data that starts with `what` for a value out of its range.
void require_sampling(const SamplingOptions& options, const std::string& what);

// The processed logits of one row in place: removed tokens become -inf. `history` holds the ids of
// prompt and completion so far.
void process_logits(std::span<float> logits, const SamplingOptions& options,
                    std::span<const int64_t> history);

// The token for a number in [0, 1) by the inverse of the cumulative distribution in the order of
// ids; the first of the largest when greedy.
int64_t pick_token(std::span<const float> processed, const SamplingOptions& options,
                   double uniform);

// The number for the token after `step` others of candidate `index`.
double sampling_uniform(uint64_t seed, int64_t index, int64_t step);

}  // namespace preimage::lm
