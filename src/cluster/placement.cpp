#include "preimage/cluster/placement.hpp"

#include <ATen/Parallel.h>
#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <map>

#include "preimage/base/str.hpp"

#ifdef PREIMAGE_CUDA
#include <c10/cuda/CUDAFunctions.h>
#include <cuda_runtime_api.h>
#endif

namespace preimage::cluster {
namespace {

std::vector<int> affinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int core = 0; core < CPU_SETSIZE; ++core) {
      if (CPU_ISSET(core, &set)) cores.push_back(core);
    }
  }
  if (cores.empty()) cores.push_back(0);
  return cores;
}

double quota_of(const std::string& folder) {
  double quota = 0;
  double period = 0;
  std::ifstream v2(folder + "/cpu.max");
  if (v2 >> quota >> period && period > 0) return quota / period;
  std::ifstream v1_quota(folder + "/cpu.cfs_quota_us");
  std::ifstream v1_period(folder + "/cpu.cfs_period_us");
  if (v1_quota >> quota && v1_period >> period && quota > 0 && period > 0) return quota / period;
  return 1e9;
}

// CPUs' worth of time that the control groups grant, or a large number. Containers limit time, not
// the mask, and threads beyond the quota only throttle each other. A group is bound by those above
// it, too; inside a container its own group is the root of what can be seen.
double cpu_quota() {
  constexpr const char* kMounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
                                     "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
  double quota = 1e9;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // "4:cpu,cpuacct:/a/b", "0::/a/b"
    const size_t path = line.find(':', line.find(':') + 1);
    if (path == std::string::npos) continue;
    std::string group = line.substr(path + 1);
    for (;; group.erase(group.rfind('/'))) {
      for (const char* mount : kMounts) quota = std::min(quota, quota_of(mount + group));
      if (group.find('/') == std::string::npos) break;
    }
  }
  for (const char* mount : kMounts) quota = std::min(quota, quota_of(mount));
  return quota;
}

// As other programs understand it: "4", or "4,2" for nested regions. 0: not set, or no number.
int omp_num_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (!text) return 0;
  char* end = nullptr;
  const long count = std::strtol(text, &end, 10);
  return end != text && (*end == '\0' || *end == ',') && count > 0 && count <= 1 << 20
             ? static_cast<int>(count)
             : 0;
}

// Threads far beyond the cores only cost: a slip of the pen, then.
void refuse_many_threads(int threads, int cores, const char* whose) {
  constexpr int kAtLeast = 16, kPerCore = 4;
  const int most = std::max(kAtLeast, kPerCore * cores);
  if (threads <= most) return;
  throw CollectiveError(base::ExitCode::bad_config,
                        base::str(whose, ": found ", threads, " threads for a rank; it may use ",
                                  cores, cores == 1 ? " core" : " cores", " here, and at most ",
                                  most, " threads are taken; 0 chooses by itself"));
}

// What each rank tells the others before devices are given out.
struct Offer {
  std::string host;
  std::string cores;  // the mask, as text
  int gpus = 0;
};

std::vector<Offer> exchange(const Session& session) {
  std::string mask;
  for (const int core : affinity()) mask += base::str(core, ",");
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
  const int mask = static_cast<int>(affinity().size());
  return std::max(1, static_cast<int>(std::min<double>(mask, std::ceil(cpu_quota()))));
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
  const int by_environment = omp_num_threads();
  out.threads = options.threads > 0  ? options.threads
                : by_environment > 0 ? by_environment
                                     : std::max(1, out.cores / static_cast<int>(same));
  const int most = static_cast<int>(session.world().all_reduce_max(out.threads));
  const int least_cores = -static_cast<int>(session.world().all_reduce_max(-out.cores));
  refuse_many_threads(most, least_cores, options.threads > 0 ? "threads" : "OMP_NUM_THREADS");
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
