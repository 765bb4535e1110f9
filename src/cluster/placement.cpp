#include "preimage/cluster/placement.hpp"

#include <ATen/Parallel.h>
#include <omp.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>

#include "preimage/base/str.hpp"
#include "preimage/base/threads.hpp"

#ifdef PREIMAGE_CUDA
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#endif

namespace preimage::cluster {
namespace {

// What each rank tells the others before devices are given out.
struct Offer {
  std::string host;
  std::string cores;  // the mask, as text
  int gpus = 0;
};

std::vector<Offer> exchange(const Session& session) {
  std::string mask;
  for (const int core : base::affinity()) mask += base::str(core, ",");
  const base::Json mine = {session.host(), mask, gpu_count()};
  std::vector<Offer> out;
  for (const auto& text : session.world().all_gather(mine.dump())) {
    const auto offer = base::Json::parse(text);
    out.push_back({offer[0], offer[1], offer[2]});
  }
  return out;
}

void refuse_shared_gpus(const std::vector<Offer>& offers) {
  std::map<std::string, std::pair<int, int>> hosts;  // host -> ranks, GPUs
  for (const auto& offer : offers) {
    hosts[offer.host].first += 1;
    hosts[offer.host].second = offer.gpus;
  }
  bool crowded = false;
  std::string table;
  for (const auto& [host, count] : hosts) {
    crowded = crowded || count.first > count.second;
    table += base::str("\n  ", host, ": ", count.first, " ranks, ", count.second, " GPUs");
  }
  if (!crowded) return;
  throw CollectiveError(
      base::ExitCode::bad_config,
      "mpirun: more ranks than GPUs on a host; each rank needs its own GPU:" + table +
          "\nUse fewer ranks (mpirun -n), set run.device to cpu, or set run.share_gpu");
}

}  // namespace

int usable_cores() {
  return base::usable_cores();
}

bool built_with_cuda() {
#ifdef PREIMAGE_CUDA
  return true;
#else
  return false;
#endif
}

int gpu_count() {
#ifdef PREIMAGE_CUDA
  return static_cast<int>(c10::cuda::device_count());
#else
  return 0;
#endif
}

Placement place(const Session& session, const PlacementOptions& options) {
  const auto offers = exchange(session);
  const auto& mine = offers[session.world().rank()];
  const auto same = std::count_if(offers.begin(), offers.end(), [&](const Offer& other) {
    return other.host == mine.host && other.cores == mine.cores;
  });
  Placement out{
      .host = session.host(), .local_rank = session.local_rank(), .cores = usable_cores()};
  out.gpus = mine.gpus;
  out.threads = base::thread_count(options.threads, out.cores, static_cast<int>(same));
  const int most = static_cast<int>(session.world().all_reduce_max(out.threads));
  const int least_cores = -static_cast<int>(session.world().all_reduce_max(-out.cores));
  try {
    base::refuse_many_threads(most, least_cores, options.threads);
  } catch (const base::Error& error) {  // on every rank alike
    throw CollectiveError(error.code(), error.what());
  }
  const bool all_have_gpus =
      std::all_of(offers.begin(), offers.end(), [](const Offer& offer) { return offer.gpus > 0; });
  if (options.device == "cpu") return out;
  if (options.device == "cuda" && !all_have_gpus) {
    std::string where;
    for (const auto& offer : offers) {
      if (offer.gpus == 0 && where.find(offer.host) == std::string::npos) where += " " + offer.host;
    }
    throw CollectiveError(base::ExitCode::unavailable,
                          "run.device is cuda, but no usable GPU was found on:" + where +
                              "; build with PREIMAGE_CUDA on a machine with a driver, or use cpu");
  }
  if (!all_have_gpus) return out;
  if (!options.share_gpu) refuse_shared_gpus(offers);
  out.device = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(out.local_rank % out.gpus));
  return out;
}

void apply(const Placement& placement) {
  at::set_num_threads(placement.threads);
  omp_set_num_threads(placement.threads);
#ifdef PREIMAGE_CUDA
  if (placement.device.is_cuda()) c10::cuda::set_device(placement.device.index());
#endif
}

std::string device_model(const c10::Device& device) {
#ifdef PREIMAGE_CUDA
  cudaDeviceProp properties;
  if (device.is_cuda() && cudaGetDeviceProperties(&properties, device.index()) == cudaSuccess) {
    return properties.name;
  }
#endif
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos)
      return line.substr(colon + 2);
  }
  return device.str();
}

base::Json describe(const Communicator& comm, const Placement& placement) {
  const base::Json mine = {{"rank", comm.rank()},
                           {"host", placement.host},
                           {"device", placement.device.str()},
                           {"threads", placement.threads},
                           {"cores", placement.cores},
                           {"gpus", placement.gpus},
                           {"model", device_model(placement.device)}};
  base::Json out = base::Json::array();
  for (const auto& text : comm.all_gather(mine.dump())) out.push_back(base::Json::parse(text));
  return out;
}

}  // namespace preimage::cluster
