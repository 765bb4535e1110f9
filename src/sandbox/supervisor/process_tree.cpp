#include "supervisor/process_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "supervisor/descriptor.hpp"

namespace preimage::sandbox {
namespace {

std::string read_small(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(4096, '\0');
  const ssize_t got = file ? ::read(file.get(), text.data(), text.size()) : 0;
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

std::vector<long> numbers_in(const std::string& text) {
  std::vector<long> numbers;
  const char* at = text.c_str();
  for (char* end = nullptr;; at = end) {
    const long number = std::strtol(at, &end, 10);
    if (end == at) return numbers;
    numbers.push_back(number);
  }
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

template <class Visit>
void visit_tree(pid_t root, const Visit& visit) {
  constexpr size_t kMost = 512;  // more than any slot may have
  std::vector<pid_t> waiting = {root};
  for (size_t i = 0; i < waiting.size() && i < kMost; ++i) {
    visit(waiting[i]);
    for (const pid_t child : children_of(waiting[i])) waiting.push_back(child);
  }
}

// Links of the folder: itself, its parent's, and one from each thread's.
int threads_of(pid_t pid) {
  struct stat folder {};
  const auto tasks = "/proc/" + std::to_string(pid) + "/task";
  return ::stat(tasks.c_str(), &folder) == 0 ? static_cast<int>(folder.st_nlink) - 2 : 0;
}

// CPU time of the children that a process has waited for: cutime and cstime, fields 16 and 17 of
// /proc/PID/stat (man 5 proc), counted behind the command's name, which may hold anything.
double children_cpu_s(pid_t pid) {
  static const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  const auto text = read_small("/proc/" + std::to_string(pid) + "/stat");
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos || name_end + 4 > text.size()) return 0;
  const auto fields = numbers_in(text.substr(name_end + 4));  // from field 4 on
  if (fields.size() < 14) return 0;
  return static_cast<double>(fields[12] + fields[13]) / ticks;
}

}  // namespace

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  const auto tasks = "/proc/" + std::to_string(pid) + "/task";
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(tasks.c_str()));
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    if (entry->d_name[0] == '.') continue;
    for (const long child : numbers_in(read_small(tasks + "/" + entry->d_name + "/children")))
      children.push_back(static_cast<pid_t>(child));
  }
  return children;
}

int64_t resident_bytes(pid_t pid) {
  const auto fields = numbers_in(read_small("/proc/" + std::to_string(pid) + "/statm"));
  return fields.size() < 2 ? 0 : fields[1] * ::sysconf(_SC_PAGESIZE);
}

// By the clock of the process, which counts nanoseconds: the ticks of /proc/PID/stat would not see
// many children that each take less than one.
double process_cpu_s(pid_t pid) {
  clockid_t clock;
  timespec used{};
  if (pid <= 0 || ::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
    return 0;
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

// Running, waiting (ns), turns: Documentation/scheduler/sched-stats.
RunTimes run_times(pid_t pid) {
  const auto fields = numbers_in(read_small("/proc/" + std::to_string(pid) + "/schedstat"));
  if (fields.size() < 2) return {};
  return {1e-9 * static_cast<double>(fields[0]), 1e-9 * static_cast<double>(fields[1])};
}

TreeUse tree_use(pid_t root, int64_t shared_bytes) {
  TreeUse use;
  visit_tree(root, [&](pid_t pid) {
    use.cpu_s += process_cpu_s(pid) + children_cpu_s(pid);
    use.rss_bytes += std::max<int64_t>(0, resident_bytes(pid) - shared_bytes);
    ++use.processes;
    use.threads += threads_of(pid);
  });
  return use;
}

void set_share(pid_t root, Share share) {
  if (root <= 0) return;       // it has ended meanwhile; 0 would be this process
  constexpr int kFirst = -10;  // nice value: nine times the weight of 0
  const sched_param parameter{};
  visit_tree(root, [&](pid_t pid) {
    ::sched_setscheduler(pid, share == Share::leftover ? SCHED_IDLE : SCHED_OTHER, &parameter);
    if (share == Share::first) ::setpriority(PRIO_PROCESS, static_cast<id_t>(pid), kFirst);
  });
}

}  // namespace preimage::sandbox
