// Generation: requests in, completions out. Requests share the batch slot by slot: a finished one
// makes room for the next. A completion's bits do not depend on what else is in the batch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"

namespace preimage::lm {

// Either ids or embeddings [tokens, d] (a soft prompt, in any float dtype) come first; at least one
// token.
struct GenerateRequest {
  std::vector<int64_t> ids;
  at::Tensor embeddings;  // placed before ids where both are given
  int64_t max_new_tokens = 128;
  std::vector<int64_t>
      stop_ids;     // generation ends when one is chosen; it is not part of the completion
  int64_t top = 0;  // also the `top` best (id, log-probability) of every step
};

struct Completion {
  std::vector<int64_t> ids;
  std::vector<float>
      logprobs;  // of each chosen token, under the raw model; stop token not included
  std::vector<std::vector<std::pair<int64_t, float>>> top;
  std::string finish_reason;  // "eos" (a stop id) or "length"
};

struct GenerateOptions {
  int64_t batch = 64;             // sequences in flight
  int64_t prefill_tokens = 4096;  // prompt tokens put through the model at once
  // Called after each token of a request; returning true ends it ("stop"): stop strings live above.
  std::function<bool(int64_t request, const std::vector<int64_t>& ids)> stop;
};

// Greedy decoding (the lowest id wins a tie). Completions in the order of the requests. A request
// that cannot fit the model's context is refused by its index before anything runs
// (ExitCode::bad_data).
std::vector<Completion> generate(const Model& model, const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options);

}  // namespace preimage::lm
