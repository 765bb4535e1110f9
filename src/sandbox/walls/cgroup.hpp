// Limits on all processes of a slot together, where the kernel and our rights allow them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "supervisor/descriptor.hpp"

namespace preimage::sandbox {

// A control group with a limit on memory and one on processes, which counts their CPU time; removed
// with this object, when its processes are gone.
class Cgroup {
 public:
  // Nothing where neither version 2 (delegated, with the memory controller) nor version 1 can be
  // written: then memory is polled.
  static std::unique_ptr<Cgroup> make(const std::string& name, int64_t memory_bytes,
                                      int64_t processes);
  // "v2", "v1" or "none": what make() would give, and whether that counts CPU time (in version 1 it
  // takes the controller cpuacct).
  struct Kind {
    std::string version;
    bool counts_cpu = false;
  };
  static Kind kind();
  ~Cgroup();

  void add(pid_t process) const;
  // How often the kernel killed a process here for want of memory.
  int64_t oom_kills() const;
  // CPU time of all processes that are or were here, waited for or not; nothing where it is not
  // counted.
  std::optional<double> cpu_s() const;

 private:
  Cgroup(std::filesystem::path memory, std::filesystem::path pids, std::filesystem::path cpu);
  std::filesystem::path memory_;  // its folder
  // Version 1 has a folder for each controller; else empty.
  std::filesystem::path pids_, cpu_;
  Descriptor cpu_file_;  // open: it is read for each program
};

}  // namespace preimage::sandbox
