// Generation: requests in, completions out. A completion's bits depend on its request and the model
// alone: not on what else is in the batch, on order, prefix sharing, chunked prefill or preemption.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/generate/sampling.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/text/tokenizer/tokenizer.hpp"

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
  SamplingOptions sampling;
  int64_t n = 1;                  // candidates; the prompt goes through the model once
  std::vector<std::string> stop;  // generation ends when the text holds one; needs a tokenizer
};

struct Completion {
  std::vector<int64_t> ids;
  std::vector<float>
      logprobs;  // of each chosen token, under the raw model; stop token not included
  std::vector<std::vector<std::pair<int64_t, float>>> top;
  std::string finish_reason;       // "eos" (a stop id), "stop" (a stop string) or "length"
  std::string text;                // up to the stop string, if a tokenizer was given
  int64_t request = 0, index = 0;  // which request, which of its n candidates
};

struct GenerateOptions {
  int64_t batch = 64;             // sequences in flight
  int64_t prefill_tokens = 4096;  // prompt tokens put through the model at once
  int64_t cache_pages = 0;        // of the key/value cache; 0: what the requests need and the
                                  // device's free memory holds
  bool fast = false;              // products in any order (nn::FreeOrder): the promise above is off
  bool share_prefixes = true;     // equal beginnings of prompts are computed and kept once
  const text::Tokenizer* tokenizer = nullptr;  // for texts and stop strings; must outlive the call
  // Called after each token of a request; returning true ends it ("stop").
  std::function<bool(const Completion& so_far)> stop;
  // Called with each completion as it finishes, in no order that is promised.
  std::function<void(const Completion&)> finished;
  // Asked between passes; once it is true the call ends. What had not finished by then has no
  // finish_reason.
  std::function<bool()> cancelled;
};

// Completions in the order of the requests, the n candidates of one after another. A request that
// cannot fit the model's context or the cache is refused by its index before anything runs
// (ExitCode::bad_data). When the device runs out of memory, less is put through it at once.
std::vector<Completion> generate(const Model& model, const std::vector<GenerateRequest>& requests,
                                 const GenerateOptions& options);

}  // namespace preimage::lm
