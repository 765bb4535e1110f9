// Which device and how many threads a rank gets.
#pragma once

#include <string>
#include <vector>

#include <c10/core/Device.h>

#include "preimage/base/json.hpp"
#include "preimage/cluster/session.hpp"

namespace preimage::cluster {

struct PlacementOptions {
  std::string device = "auto";  // auto: the GPU of this rank when the build and the host have one
  int threads = 0;              // 0: OMP_NUM_THREADS, or the host's cores divided among its ranks
  bool share_gpu = false;       // several ranks may use one GPU
};

struct Placement {
  c10::Device device = c10::kCPU;
  int threads = 1;
  std::string host;
  int local_rank = 0;
  int cores = 1;  // that this rank may use, together with the ranks that have the same set
  int gpus = 0;   // of this host
};

// Cores this process may use: its affinity mask, limited by the CPU quota of its control groups.
int usable_cores();
bool built_with_cuda();
// GPUs of this host that this build can use; 0 without CUDA.
int gpu_count();

// Decides for every rank, collectively. Throws CollectiveError: bad_config when a host has more
// ranks than GPUs (names hosts, ranks and GPUs) or threads beyond reason are asked for, unavailable
// when "cuda" is asked for and there is none.
Placement place(const Session& session, const PlacementOptions& options);

// Makes this process use the placement: threads of ATen and OpenMP, current GPU.
void apply(const Placement& placement);

// What computes: the name of the GPU, or of the CPU ("AMD EPYC 9755 128-Core Processor").
std::string device_model(const c10::Device& device);

// One object for each rank: {"rank", "host", "device", "model", "threads", "cores", "gpus"}.
// Collective.
base::Json describe(const Communicator& comm, const Placement& placement);

}  // namespace preimage::cluster
