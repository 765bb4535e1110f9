#include "preimage/cluster/tensor_reduce.hpp"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <functional>
#include <vector>

#include "mpi_call.hpp"
#include "nccl.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::cluster {
namespace {

using Node = std::pair<int64_t, int64_t>;

// Elements of each rank's slice that one exchange moves: bounds the memory for received nodes to
// 4 MiB times the nodes, and keeps MPI's int counts far from their limit.
constexpr int64_t kSliceElements = int64_t{1} << 20;

int64_t split_point(int64_t begin, int64_t end) {
  const auto length = static_cast<uint64_t>(end - begin);
  return begin + static_cast<int64_t>(std::bit_floor(length - 1));
}

// The nodes of the tree over [0, shards) that lie in [begin, end) and whose parents do not: what a
// rank holds when all its shards are added, from left to right.
void collect_maximal(Node node, const ShardRange& range, std::vector<Node>& out) {
  if (node.second <= range.begin || node.first >= range.end) return;
  if (node.first >= range.begin && node.second <= range.end) {
    out.push_back(node);
    return;
  }
  const int64_t middle = split_point(node.first, node.second);
  collect_maximal({node.first, middle}, range, out);
  collect_maximal({middle, node.second}, range, out);
}

// The parent and the sibling of a node, by walking down from the root.
struct Family {
  Node parent;
  Node sibling;
};

Family family_of(Node node, int64_t shards) {
  Node at = {0, shards};
  for (;;) {
    const int64_t middle = split_point(at.first, at.second);
    const Node left = {at.first, middle};
    const Node right = {middle, at.second};
    if (node == left) return {at, right};
    if (node == right) return {at, left};
    at = node.first < middle ? left : right;
  }
}

at::Tensor evaluate(Node node, std::map<Node, at::Tensor>& known) {
  if (const auto found = known.find(node); found != known.end()) return found->second;
  const int64_t middle = split_point(node.first, node.second);
  at::Tensor left = evaluate({node.first, middle}, known);
  return left.add_(evaluate({middle, node.second}, known));
}

// The part of the vector that rank r reduces in the round that starts at `offset`.
struct Slices {
  int64_t offset;
  int64_t n;
  int ranks;
  int64_t round() const { return std::min(n - offset, kSliceElements * ranks); }
  int64_t begin(int r) const { return offset + round() * r / ranks; }
  int64_t count(int r) const { return round() * (r + 1) / ranks - round() * r / ranks; }
};

// send[r] goes to rank r, receive[r] is filled from rank r (float32, sizes known on both sides).
void exchange_on_host(const Communicator& comm, const std::vector<at::Tensor>& send,
                      std::vector<at::Tensor>& receive) {
  std::vector<MPI_Request> requests;
  const auto start = [&](int code, const char* call) { check_mpi(code, call); };
  for (int r = 0; r < comm.size(); ++r) {
    if (r == comm.rank()) {
      receive[r].copy_(send[r]);
      continue;
    }
    if (receive[r].numel() > 0) {
      requests.emplace_back();
      start(MPI_Irecv(receive[r].data_ptr<float>(), static_cast<int>(receive[r].numel()), MPI_FLOAT,
                      r, 0, comm.impl().handle, &requests.back()),
            "MPI_Irecv");
    }
    if (send[r].numel() > 0) {
      requests.emplace_back();
      start(MPI_Isend(send[r].data_ptr<float>(), static_cast<int>(send[r].numel()), MPI_FLOAT, r, 0,
                      comm.impl().handle, &requests.back()),
            "MPI_Isend");
    }
  }
  for (auto& request : requests) wait_for(request, "MPI_Isend or MPI_Irecv");
}

void exchange(const Communicator& comm, const std::vector<at::Tensor>& send,
              std::vector<at::Tensor>& receive) {
  const bool on_gpu = receive[comm.rank()].is_cuda();
  if (!on_gpu) return exchange_on_host(comm, send, receive);
  if (Nccl* nccl = nccl_of(comm)) {
    std::vector<Nccl::Part> parts(comm.size());
    for (int r = 0; r < comm.size(); ++r) {
      if (r == comm.rank()) {
        receive[r].copy_(send[r]);
        continue;
      }
      parts[r] = {send[r].data_ptr(), static_cast<int64_t>(send[r].nbytes()), receive[r].data_ptr(),
                  static_cast<int64_t>(receive[r].nbytes())};
    }
    return nccl->exchange(parts);
  }
  std::vector<at::Tensor> sent;
  std::vector<at::Tensor> got;
  for (const auto& part : send) sent.push_back(part.cpu());
  for (const auto& part : receive) got.push_back(at::empty(part.sizes(), at::kFloat));
  exchange_on_host(comm, sent, got);
  for (size_t r = 0; r < receive.size(); ++r) receive[r].copy_(got[r]);
}

}  // namespace

ShardRange owned_shards(int64_t shards, int rank, int ranks) {
  return {shards * rank / ranks, shards * (rank + 1) / ranks};
}

TreeSum::TreeSum(const Communicator& comm, int64_t shards)
    : comm_(comm), shards_(shards), owned_(owned_shards(shards, comm.rank(), comm.size())) {
  base::check(shards >= 1, "a tree sum has at least one shard");
}

void TreeSum::add(int64_t shard, at::Tensor values) {
  base::check(shard >= owned_.begin && shard < owned_.end, "a rank adds only shards that it owns");
  base::check(values.dim() == 1 && values.scalar_type() == at::kFloat && values.is_contiguous(),
              "a shard is a contiguous float32 vector");
  base::check(nodes_.empty() || nodes_.begin()->second.numel() == values.numel(),
              "all shards have one length");
  ++added_;
  Node node = {shard, shard + 1};
  while (node != Node{0, shards_}) {
    const auto [parent, sibling] = family_of(node, shards_);
    const auto other = nodes_.find(sibling);
    if (other == nodes_.end()) break;
    // left + right = right + left bit by bit, so the one at hand may hold the sum.
    values.add_(other->second);
    nodes_.erase(other);
    node = parent;
  }
  base::check(nodes_.emplace(node, std::move(values)).second, "each shard is added once");
}

at::Tensor TreeSum::finish(const at::Tensor& like) {
  base::check(added_ == owned_.end - owned_.begin,
              "a rank adds each shard that it owns before finish");
  const Node whole = {0, shards_};
  if (comm_.size() == 1) return std::move(nodes_.at(whole));
  std::vector<std::vector<Node>> held(comm_.size());
  for (int r = 0; r < comm_.size(); ++r) {
    const auto range = owned_shards(shards_, r, comm_.size());
    if (range.begin < range.end) collect_maximal(whole, range, held[r]);
  }
  const int me = comm_.rank();
  const auto options = like.options().dtype(at::kFloat).requires_grad(false);
  at::Tensor out = at::empty({like.numel()}, options);
  for (Slices slices{0, like.numel(), comm_.size()}; slices.offset < slices.n;
       slices.offset += slices.round()) {
    std::vector<at::Tensor> send(comm_.size());
    std::vector<at::Tensor> receive(comm_.size());
    for (int r = 0; r < comm_.size(); ++r) {
      std::vector<at::Tensor> mine;
      for (const Node& node : held[me]) {
        mine.push_back(nodes_.at(node).narrow(0, slices.begin(r), slices.count(r)));
      }
      send[r] = mine.empty() ? at::empty({0}, options) : at::cat(mine);
      receive[r] = at::empty({static_cast<int64_t>(held[r].size()) * slices.count(me)}, options);
    }
    exchange(comm_, send, receive);
    std::map<Node, at::Tensor> known;
    for (int r = 0; r < comm_.size(); ++r) {
      for (size_t i = 0; i < held[r].size(); ++i) {
        known[held[r][i]] =
            receive[r].narrow(0, static_cast<int64_t>(i) * slices.count(me), slices.count(me));
      }
    }
    const at::Tensor sum = evaluate(whole, known);
    for (int r = 0; r < comm_.size(); ++r) {
      send[r] = sum;
      receive[r] = out.narrow(0, slices.begin(r), slices.count(r));
    }
    exchange(comm_, send, receive);
  }
  nodes_.clear();
  return out;
}

void broadcast(const Communicator& comm, at::Tensor& tensor) {
  base::check(tensor.is_contiguous(), "a tensor to broadcast is contiguous");
  if (comm.size() == 1) return;
  if (!tensor.is_cuda()) return broadcast_bytes(comm, tensor.data_ptr(), tensor.nbytes());
  if (Nccl* nccl = nccl_of(comm)) {
    return nccl->broadcast(tensor.data_ptr(), static_cast<int64_t>(tensor.nbytes()));
  }
  at::Tensor host = tensor.cpu();
  broadcast_bytes(comm, host.data_ptr(), host.nbytes());
  tensor.copy_(host);
}

}  // namespace preimage::cluster
