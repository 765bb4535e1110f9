// What a process and all it has started use, read from /proc.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace preimage::sandbox {

struct TreeUse {
  double cpu_s = 0;       // ended and waited-for children included
  int64_t rss_bytes = 0;  // beyond what each shares with the zygote it was forked from
  int processes = 0;
  int threads = 0;  // of all of them
};

// `shared_bytes` are not counted for each process: a fresh fork has them resident too.
TreeUse tree_use(pid_t root, int64_t shared_bytes);

// The children of all threads of a process.
std::vector<pid_t> children_of(pid_t pid);

// Resident bytes of one process; 0 when it is gone.
int64_t resident_bytes(pid_t pid);

// CPU time of a process with all its threads, ended ones included, but no other process; 0 when it
// is gone.
double process_cpu_s(pid_t pid);

// How long the first thread of a process has been running, and how long it was ready to run and was
// not; 0 where the kernel does not say.
struct RunTimes {
  double running_s = 0, delay_s = 0;
};
RunTimes run_times(pid_t pid);

// How much of the processors a process with its descendants gets: what nobody else wants, or more
// than the others. Without the right to (an unprivileged user may not come back) nothing happens.
enum class Share { leftover, first };
void set_share(pid_t root, Share share);

}  // namespace preimage::sandbox
