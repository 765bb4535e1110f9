// Limits on all processes of a slot together, where the kernel and our rights allow them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace preimage::sandbox {

// A control group with a limit on memory and one on processes; removed with this object, when its
// processes are gone.
class Cgroup {
 public:
  // Nothing where neither version 2 (delegated, with the memory controller) nor version 1 can be
  // written: then memory is polled.
  static std::unique_ptr<Cgroup> make(const std::string& name, int64_t memory_bytes,
                                      int64_t processes);
  // "v2", "v1" or "none": what make() would give.
  static std::string version();
  ~Cgroup();

  void add(pid_t process) const;
  // How often the kernel killed a process here for want of memory.
  int64_t oom_kills() const;

 private:
  Cgroup(std::filesystem::path memory, std::filesystem::path pids)
      : memory_(std::move(memory)), pids_(std::move(pids)) {}
  std::filesystem::path memory_;  // its folder
  std::filesystem::path pids_;    // version 1 has a folder for each controller; else empty
};

}  // namespace preimage::sandbox
