// Log-probabilities of given continuations.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"

namespace preimage::lm {

struct ScoreRequest {
  std::vector<int64_t> prompt;        // ids; at least one token here or in `embeddings`
  at::Tensor embeddings;              // [tokens, d], before the prompt; may be undefined
  std::vector<int64_t> continuation;  // at least one token
};

struct Score {
  std::vector<float> logprobs;  // natural log, one for each continuation token
  std::vector<std::vector<std::pair<int64_t, float>>>
      top;  // the best at each place, when asked for
};

struct ScoreOptions {
  int64_t batch_tokens = 4096;  // tokens put through the model at once
  int64_t top = 0;
};

// In the order of the requests; a request's bits do not depend on the others.
std::vector<Score> score(const Model& model, const std::vector<ScoreRequest>& requests,
                         const ScoreOptions& options);

}  // namespace preimage::lm
