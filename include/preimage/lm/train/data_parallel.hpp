// What every training here is made of: parameters in one flat vector, and a step whose bits do not
// depend on the number of ranks, because its gradient is a fixed list of micro-shards summed along
// one binary tree.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/random.hpp"
#include "preimage/cluster/communicator.hpp"
#include "preimage/lm/model.hpp"
#include "preimage/optim/adam.hpp"

namespace preimage::lm {

// Parameters by their names, float32, each a view into one flat vector.
struct Parameters {
  at::Tensor flat;        // [n]
  at::Tensor decay_mask;  // [n]: 1 for matrices
  std::map<std::string, at::Tensor> views;
};

// Zeros for every tensor of the list, in its order.
Parameters make_parameters(const TensorList& list, at::Device device);
// Moves the flat vectors and makes the views again.
Parameters to_device(Parameters parameters, const TensorList& list, at::Device device);
// Element i becomes scale * stream.normal(i). CPU only.
void fill_normal(at::Tensor& tensor, const base::RandomStream& stream, double scale);

// The leaves of one step's graph: the parameters themselves in float32, or copies in the products'
// dtype.
struct Leaves {
  std::vector<at::Tensor> in_order;  // of the flat vector
  std::map<std::string, at::Tensor> by_name;
};
Leaves make_leaves(const Parameters& parameters, const TensorList& list, at::ScalarType dtype);

// What one micro-shard gives: its share of the step's loss, and numbers that are summed beside it.
struct ShardLoss {
  at::Tensor loss;          // scalar, differentiable in the leaves
  std::vector<float> sums;  // as many for every shard: StepOptions::sums
};

struct StepOptions {
  int64_t micro_shards = 8;
  int64_t sums = 0;
  double learning_rate = 0;
  optim::AdamOptions adam;
};

struct StepResult {
  double loss = 0;
  std::vector<double> sums;
  double gradient_norm = 0;  // before clipping
};

// What a step changes, and the ranks that share its work.
struct Trained {
  Parameters& parameters;
  optim::AdamWState& adam;
  const cluster::Communicator& world;
};

// One AdamW update. Each rank asks `shard_loss` for the shards that it owns. Collective. A leaf
// that a shard's loss does not reach counts as a gradient of zero.
StepResult data_parallel_step(const Trained& trained, const Leaves& leaves,
                              const StepOptions& options,
                              const std::function<ShardLoss(int64_t shard)>& shard_loss);

}  // namespace preimage::lm
