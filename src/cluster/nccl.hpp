// NCCL for tensors that live on GPUs. Without PREIMAGE_CUDA make_nccl() returns nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "preimage/cluster/communicator.hpp"

namespace preimage::cluster {

// Point-to-point exchanges on the current CUDA stream, each group collective over the communicator.
class Nccl {
 public:
  struct Part {
    const void* send = nullptr;  // device memory
    int64_t send_bytes = 0;
    void* receive = nullptr;
    int64_t receive_bytes = 0;
  };
  virtual ~Nccl() = default;
  // parts[r] goes to and comes from rank r. Returns when it is queued on the current stream.
  virtual void exchange(const std::vector<Part>& parts) = 0;
  virtual void broadcast(void* data, int64_t bytes) = 0;
};

// The communicator's NCCL twin, made at the first call (collective); null when the build has no
// CUDA or two ranks share a GPU, which NCCL refuses: the caller then goes through host memory.
Nccl* nccl_of(const Communicator& comm);

}  // namespace preimage::cluster
