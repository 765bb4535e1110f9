#include "preimage/base/threads.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::base {
namespace {

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

}  // namespace

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

int usable_cores() {
  const int mask = static_cast<int>(affinity().size());
  return std::max(1, static_cast<int>(std::min<double>(mask, std::ceil(cpu_quota()))));
}

int thread_count(int asked, int cores, int processes) {
  if (asked > 0) return asked;
  const int by_environment = omp_num_threads();
  return by_environment > 0 ? by_environment : std::max(1, cores / processes);
}

void refuse_many_threads(int threads, int cores, int asked) {
  constexpr int kAtLeast = 16, kPerCore = 4;
  const int most = std::max(kAtLeast, kPerCore * cores);
  if (threads <= most) return;
  throw config_error(str(asked > 0 ? "threads" : "OMP_NUM_THREADS", ": found ", threads,
                         " threads for a rank; it may use ", cores, cores == 1 ? " core" : " cores",
                         " here, and at most ", most, " threads are taken; 0 chooses by itself"));
}

}  // namespace preimage::base
