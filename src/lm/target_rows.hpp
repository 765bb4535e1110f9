// Prompts with given continuations as one packed batch, and the rows of it that predict them: what
// scoring and losses of targets share.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"
#include "preimage/lm/score.hpp"
#include "preimage/nn/attention.hpp"

namespace preimage::lm {

int64_t prompt_tokens(const ScoreRequest& request);
// Tokens that go through the model: the last of the continuation predicts nothing.
int64_t read_tokens(const ScoreRequest& request);
// Throws ExitCode::bad_data, naming the request, for what the model cannot read.
void require_requests(const Model& model, const std::vector<ScoreRequest>& requests);

struct TargetRows {
  // Where a predicting row's results go.
  struct Target {
    int64_t request, id;
  };
  at::Tensor inputs;              // [tokens, d]: embeddings of all requests, end to end
  nn::Packing packing;            // of them
  std::vector<int64_t> begins;    // first row of each request's inputs
  at::Tensor rows;                // of the hidden states that predict something, in order
  std::vector<Target> targets;    // one for each
  at::Tensor target_ids() const;  // [targets] int64, on the device of `rows`
};

// Requests [begin, end).
TargetRows pack_targets(const Model& model, const std::vector<ScoreRequest>& requests,
                        std::pair<int64_t, int64_t> range);

}  // namespace preimage::lm
