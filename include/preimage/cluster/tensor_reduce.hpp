// Collectives on tensors: a sum whose bits depend neither on the number of ranks nor on the order
// of work, and a broadcast.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include <ATen/core/Tensor.h>

#include "preimage/cluster/communicator.hpp"

namespace preimage::cluster {

// The half-open interval of shards that `rank` of `ranks` computes: [rank*shards/ranks, ...).
struct ShardRange {
  int64_t begin = 0;
  int64_t end = 0;
};
ShardRange owned_shards(int64_t shards, int rank, int ranks);

// The sum of `shards` flat float32 vectors along one fixed binary tree over the shard index: an
// interval of shards splits at the largest power of two below its length, and a node is left +
// right. Whoever computes a shard, the additions are the same, so the result has the same bits on 1
// or 100 ranks.
//
// Costs: each rank keeps at most 1 + log2(own shards) vectors before finish(). finish() moves each
// rank's remaining nodes (about log2 S vectors) once and the result once, in pieces of bounded
// memory.
class TreeSum {
 public:
  // All ranks of `comm` make one with the same `shards` >= 1.
  TreeSum(const Communicator& comm, int64_t shards);

  // The shards that this rank must add, each once, in any order.
  ShardRange owned() const { return owned_; }

  // Takes over a contiguous float32 vector [n], CPU or CUDA, n the same for all; it is overwritten.
  void add(int64_t shard, at::Tensor values);

  // Collective. Every rank gets the sum [n] on the device of its shards. `like` gives n and the
  // device (a rank may own no shard); its values are not read. The object is spent.
  at::Tensor finish(const at::Tensor& like);

 private:
  using Node = std::pair<int64_t, int64_t>;  // [begin, end) of shards
  Communicator comm_;
  int64_t shards_;
  ShardRange owned_;
  int64_t added_ = 0;
  std::map<Node, at::Tensor> nodes_;
};

// Root's values into `tensor` (contiguous, same shape and type everywhere) on every rank.
// Collective.
void broadcast(const Communicator& comm, at::Tensor& tensor);

}  // namespace preimage::cluster
