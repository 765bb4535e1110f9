// Training of a sentence encoder on pairs of texts that mean the same, and of a T5 that writes the
// text whose embedding it is given (the inversion model of vec2text). Both go through run_loop():
// the same bits on any number of ranks.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/budget.hpp"
#include "preimage/base/config.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/lm/train/data_parallel.hpp"
#include "preimage/lm/train/loop.hpp"
#include "preimage/optim/schedule.hpp"

namespace preimage::lm {

struct SentenceTrainOptions {
  int64_t steps = 1000;
  int64_t micro_shards = 2;   // gradients summed in a fixed tree; divides the work among ranks
  int64_t shard_texts = 128;  // examples of a micro-shard; of pairs, the negatives of each other
  double temperature = 0.05;  // of the cosines of pairs
  optim::ScheduleOptions schedule = {.kind = "warmup-cosine", .lr = 1e-3};  // as long as `steps`
  optim::AdamOptions adam = {.weight_decay = 0.01};
  int64_t evaluate_every = 200;  // steps; 0: only at the end
  double checkpoint_interval_s = 60;
  uint64_t seed = 0;
  void fields(base::Fields& f);
  base::ConfigErrors check(const std::string& prefix) const;
};

// Token ids of two texts, with the special tokens that the encoder expects.
struct TextPair {
  std::vector<int64_t> anchor, positive;
};

// Token ids of a text with its end token, and the text's embedding.
struct InversionTexts {
  std::vector<std::vector<int64_t>> ids;
  at::Tensor embeddings;  // [texts, d] float32
};

// What is learnt: which tensors, and what some examples cost.
class SentenceTask {
 public:
  enum class Split { training, validation };
  virtual ~SentenceTask() = default;
  // Names and shapes as the checkpoint has them.
  virtual const TensorList& tensors() const = 0;
  // Start values, keyed by (seed, name, element); on the CPU.
  virtual Parameters initial(uint64_t seed) const = 0;
  virtual int64_t examples(Split split) const = 0;
  // What the loss of an example counts for: 1, or its tokens.
  virtual double weight(Split split, int64_t example) const = 0;
  // The sum over the examples; scalar float32, differentiable in the leaves.
  virtual at::Tensor loss(const Leaves& leaves, Split split,
                          const std::vector<int64_t>& examples) const = 0;
};

// Multiple negatives (Henderson et al. 2017, section 4.4; sentence-transformers'
// MultipleNegativesRankingLoss): an anchor's positive is to be told from the positives of the other
// pairs of its micro-shard by the cosine of their embeddings over `temperature`; a positive of
// equal tokens is no negative. Embeddings are means over all tokens. `folder` holds the config.json
// of a BERT. Nats a pair.
std::unique_ptr<SentenceTask> contrastive_task(const std::filesystem::path& folder,
                                               std::vector<TextPair> training,
                                               std::vector<TextPair> validation,
                                               double temperature);

// Cross entropy of a text's tokens given its embedding (Morris et al. 2023, section 3), without
// dropout. `folder` holds vec2text's config.json and, in the folder that its model_name_or_path
// names, the config.json of the T5; the transform's inner width is that of the embeddings. Nats a
// token.
std::unique_ptr<SentenceTask> inversion_task(const std::filesystem::path& folder,
                                             InversionTexts training, InversionTexts validation);

struct SentencePlace {
  const cluster::Communicator& world;
  at::Device device = at::kCPU;
  std::filesystem::path state;  // file of the resumable state; "" keeps none
  base::Budget* budget = nullptr;
  std::function<void(const CurvePoint&)> report;  // after each step, on every rank
};

// Trains in place, in float32. Losses of the curve are means over the examples' weights; its items
// are examples; validations go through the whole split. On the CPU with one thread a rank: ATen's
// batched products have other bits with another number of threads. Collective.
LoopResult train_sentences(Parameters& parameters, const SentenceTask& task,
                           const SentenceTrainOptions& options, const SentencePlace& place);

// model.safetensors in `folder`, in `dtype`.
void save_parameters(const Parameters& parameters, const TensorList& list, at::ScalarType dtype,
                     const std::filesystem::path& folder);

}  // namespace preimage::lm
