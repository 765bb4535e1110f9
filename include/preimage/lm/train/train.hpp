// Training of a decoder from scratch or from a checkpoint, with the same bits on any number of
// ranks: a step is a fixed list of micro-shards whose gradients are summed along one binary tree.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/budget.hpp"
#include "preimage/base/config.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/lm/checkpoint/checkpoint.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/lm/train/data_parallel.hpp"
#include "preimage/lm/train/loop.hpp"
#include "preimage/optim/schedule.hpp"

namespace preimage::lm {

// Token ids of one document and, for each, whether it is to be predicted (the completion of a
// prompt/completion pair; everything in plain text).
struct TrainDocument {
  std::vector<int32_t> ids;  // ends with the end-of-text token
  int64_t first_target = 0;  // ids before it are only read
};

// Documents packed into micro-shards of exactly `shard_tokens` predictions. The order of an epoch
// is a permutation keyed by (seed, epoch); a document is cut at `context` tokens and at the end of
// a shard; no token sees another document.
class TrainStream {
 public:
  TrainStream(std::vector<TrainDocument> documents, int64_t end_of_text, int64_t context,
              uint64_t seed);

  struct Shard {
    std::vector<int64_t> lengths;  // of the sequences, which lie end to end
    std::vector<int64_t> inputs, targets;
    std::vector<float> weights;  // 1 where the target counts, else 0
    double counted = 0;          // sum of weights
  };
  // Micro-shard `index` of the endless sequence of epochs; `tokens` positions.
  Shard shard(int64_t index, int64_t tokens) const;
  int64_t tokens_per_epoch() const { return total_; }

 private:
  struct Piece {
    int32_t document;
    int32_t begin, end;  // predictions [begin, end) of the document
  };
  const std::vector<int64_t>& order(int64_t epoch) const;

  std::vector<TrainDocument> documents_;
  int64_t end_of_text_;
  uint64_t seed_;
  std::vector<Piece> pieces_;
  int64_t total_ = 0;
  mutable std::map<int64_t, std::vector<int64_t>> orders_;  // epoch -> pieces in order
  mutable std::map<int64_t, std::vector<int64_t>>
      starts_;  // epoch -> first prediction of each piece
};

struct TrainOptions {
  int64_t steps = 1000;
  int64_t micro_shards = 8;  // gradients summed in a fixed tree; divides the work among ranks
  int64_t shard_tokens = 4096;
  int64_t context = 512;
  optim::ScheduleOptions schedule = {.kind = "warmup-cosine", .lr = 1e-3};  // as long as `steps`
  optim::AdamOptions adam = {.beta2 = 0.95, .weight_decay = 0.1};
  std::string dtype = "float32";  // of the products; parameters and moments are float32
  int64_t evaluate_every = 200;   // steps; 0: only at the end
  int64_t evaluate_shards = 8;
  double checkpoint_interval_s = 60;
  uint64_t seed = 0;
  void fields(base::Fields& f);
  // Rules between fields; `prefix` ("train.") starts every name.
  base::ConfigErrors check(const std::string& prefix) const;
};

// From scratch: normal(0, 0.02) matrices (the projections back into the residual stream scaled by
// 1/sqrt(2 layers): GPT-2, Radford et al. 2019), biases 0, norms 1; keyed by (seed, name, element).
Parameters initial_parameters(const ModelConfig& config, uint64_t seed, at::Device device);
Parameters load_parameters(const std::filesystem::path& folder, const ModelConfig& config,
                           at::Device device);

struct LiveAdapter;

// An adapter that is trained in place of the model, which stays as it was loaded.
struct TrainedAdapter {
  const Model& base;
  const LiveAdapter& adapter;  // its parameters are those that train() is given
};

struct TrainRequest {
  const ModelConfig& config;
  const TrainStream& text;
  const TrainStream& validation;
  TrainOptions options;  // dtype is the model's that was loaded, where an adapter is trained
  const TrainedAdapter* adapter = nullptr;
};

struct TrainPlace {
  const cluster::Communicator& world;
  std::filesystem::path state;                    // file of the resumable state; "" keeps none
  base::Budget* budget = nullptr;                 // may stop the training between steps
  std::function<void(const CurvePoint&)> report;  // after each step, on every rank
};

// Trains in place: run_loop() over next-token losses. The losses of the curve, its validations too,
// are nats a counted token, its items predicted tokens. All ranks call it.
LoopResult train(Parameters& parameters, const TrainRequest& request, const TrainPlace& place);

struct EvaluateOptions {
  int64_t shards = 8;
  int64_t shard_tokens = 4096;
};
// Mean nats a counted token of the first micro-shards. Collective.
double evaluate(const Model& model, const TrainStream& text, const EvaluateOptions& options,
                const cluster::Communicator& world);

// Writes config.json's companion model.safetensors with the published names in `dtype`.
void save_parameters(const Parameters& parameters, const ModelConfig& config, at::ScalarType dtype,
                     const std::filesystem::path& folder);

}  // namespace preimage::lm
