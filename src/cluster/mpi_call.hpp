// Every MPI call of the program goes through here: checked with MPI's own error text, and waited
// for without burning a core.
#pragma once

#include <mpi.h>

#include <cstddef>
#include <memory>

#include "preimage/cluster/communicator.hpp"

namespace preimage::cluster {

class Nccl;  // nccl.hpp

// Throws ExitCode::bug with MPI's text unless `code` is MPI_SUCCESS. `call` names the MPI function.
void check_mpi(int code, const char* call);

// Waits for a request. Spins briefly, then sleeps between tests: ranks that wait for a slow one
// leave their core to its threads (Open MPI's own waiting polls at full speed).
void wait_for(MPI_Request& request, const char* call);

struct Communicator::Impl {
  explicit Impl(MPI_Comm handle, bool owns);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  MPI_Comm handle;
  bool owned;
  int rank = 0;
  int size = 1;
  std::shared_ptr<Nccl> nccl;  // made by the first collective on GPU tensors
  bool nccl_decided = false;
};

// The root's bytes into `data` on every rank, in pieces that MPI's int counts can hold.
void broadcast_bytes(const Communicator& comm, void* data, size_t bytes);

}  // namespace preimage::cluster
