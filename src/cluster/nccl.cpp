#include "nccl.hpp"

#include "mpi_call.hpp"

#ifdef PREIMAGE_CUDA
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstring>
#include <set>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::cluster {
namespace {

void check_nccl(ncclResult_t code, const char* call) {
  if (code == ncclSuccess) return;
  throw base::Error(base::ExitCode::unavailable,
                    base::str(call, " failed: ", ncclGetErrorString(code), " (",
                              ncclGetLastError(nullptr), "); set NCCL_DEBUG=INFO for details"));
}

class NcclCommunicator : public Nccl {
 public:
  explicit NcclCommunicator(const Communicator& comm) {
    ncclUniqueId id;
    std::memset(&id, 0, sizeof id);
    if (comm.root()) check_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
    broadcast_bytes(comm, &id, sizeof id);
    check_nccl(ncclCommInitRank(&handle_, comm.size(), id, comm.rank()), "ncclCommInitRank");
  }
  // Abort, not destroy: destroying waits for the other ranks, and a rank may leave on an error.
  ~NcclCommunicator() override { ncclCommAbort(handle_); }

  void exchange(const std::vector<Part>& parts) override {
    const auto stream = c10::cuda::getCurrentCUDAStream().stream();
    check_nccl(ncclGroupStart(), "ncclGroupStart");
    for (size_t r = 0; r < parts.size(); ++r) {
      const auto& part = parts[r];
      const int peer = static_cast<int>(r);
      if (part.send_bytes > 0) {
        check_nccl(ncclSend(part.send, part.send_bytes, ncclUint8, peer, handle_, stream),
                   "ncclSend");
      }
      if (part.receive_bytes > 0) {
        check_nccl(ncclRecv(part.receive, part.receive_bytes, ncclUint8, peer, handle_, stream),
                   "ncclRecv");
      }
    }
    check_nccl(ncclGroupEnd(), "ncclGroupEnd");
  }

  void broadcast(void* data, int64_t bytes) override {
    const auto stream = c10::cuda::getCurrentCUDAStream().stream();
    check_nccl(ncclBroadcast(data, data, bytes, ncclUint8, 0, handle_, stream), "ncclBroadcast");
  }

 private:
  ncclComm_t handle_ = nullptr;
};

// The bus id of the current GPU; equal on two ranks means that they share it.
std::string gpu_identity() {
  cudaUUID_t uuid{};
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, c10::cuda::current_device()) == cudaSuccess) {
    uuid = properties.uuid;
  }
  return std::string(uuid.bytes, sizeof uuid.bytes);
}

}  // namespace

Nccl* nccl_of(const Communicator& comm) {
  auto& impl = comm.impl();
  if (!impl.nccl_decided) {
    const auto gpus = comm.all_gather(gpu_identity());
    const bool distinct = std::set<std::string>(gpus.begin(), gpus.end()).size() == gpus.size();
    if (distinct && comm.size() > 1) impl.nccl = std::make_shared<NcclCommunicator>(comm);
    impl.nccl_decided = true;
  }
  return impl.nccl.get();
}

}  // namespace preimage::cluster

#else

namespace preimage::cluster {

Nccl* nccl_of(const Communicator&) {
  return nullptr;
}

}  // namespace preimage::cluster

#endif
