// Puts passes of tokens through a model: what the engine plans, a runner carries out.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "preimage/lm/generate/sampling.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/nn/paged_attention.hpp"

namespace preimage::lm {

// The part of one sequence in a pass.
struct PassSequence {
  nn::PagedSequence place;
  at::Tensor embeddings;         // the fresh tokens of a prompt: embeddings [n, d] or undefined,
  std::span<const int64_t> ids;  // then ids
  int64_t slot = 0;     // a place below `slots` that the sequence keeps while it is in the cache
  int64_t token = -1;   // decode: the fresh token; -1: the one chosen last in this slot
  bool choose = false;  // whether the token after the fresh ones is asked for
  // For choosing:
  const SamplingOptions* sampling = nullptr;
  double uniform = 0;
  int64_t top = 0;
  std::span<const int64_t> history;  // ids so far, where the sampling looks back; all known then
};

// Either pieces of prompts or one token of each sequence.
struct Pass {
  bool decode = false;
  std::vector<PassSequence> sequences;
};

// For the sequences that chose, in their order.
struct Chosen {
  std::vector<int64_t> ids;
  std::vector<float> logprobs;  // under the raw model
  std::vector<std::vector<std::pair<int64_t, float>>> top;
};

class Runner {
 public:
  virtual ~Runner() = default;
  // Starts a pass. Passes run in the order of their starts.
  virtual void start(const Pass& pass) = 0;
  // What the oldest pass chose whose result was not fetched yet.
  virtual Chosen fetch() = 0;
  // How many passes may be started before the first is fetched.
  virtual int64_t depth() const = 0;
  // Tensors of the model were changed in place; nothing is in flight.
  virtual void weights_changed() {}
};

struct RunnerOptions {
  int64_t slots = 0;
  int64_t longest = 0;       // tokens of a sequence at most
  int32_t padding_page = 0;  // of the cache, of no sequence: rows that fill up a batch write there
};

// ATen and the kernels of nn, one pass at a time; any device. `cache` must outlive it.
std::unique_ptr<Runner> make_plain_runner(const Model& model, const nn::KvCache& cache,
                                          const RunnerOptions& options);
// Graphs and kernels of a GPU; only where nn::decode_attention_supports every layer.
std::unique_ptr<Runner> make_cuda_runner(const Model& model, const nn::KvCache& cache,
                                         const RunnerOptions& options);
// The best for the model.
std::unique_ptr<Runner> make_runner(const Model& model, const nn::KvCache& cache,
                                    const RunnerOptions& options);

}  // namespace preimage::lm
