#include "loop_proof.hpp"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "descriptor.hpp"
#include "process_tree.hpp"

namespace preimage::sandbox {

#ifdef __x86_64__
namespace {

constexpr int kMostSteps = 30'000;
constexpr size_t kMostMemory = 64u << 20;

struct Registers {
  user_regs_struct general;
  user_fpregs_struct floating;
  bool operator==(const Registers& other) const {
    return std::memcmp(&general, &other.general, sizeof general) == 0 &&
           std::memcmp(&floating, &other.floating, sizeof floating) == 0;
  }
};

// A process under our eyes; let go with this object.
class Traced {
 public:
  explicit Traced(pid_t pid) : pid_(pid) {
    stopped_ = ::ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 &&
               ::ptrace(PTRACE_INTERRUPT, pid, 0, 0) == 0 && wait();
  }
  ~Traced() {
    if (stopped_) ::ptrace(PTRACE_DETACH, pid_, 0, 0);
  }
  Traced(const Traced&) = delete;
  Traced& operator=(const Traced&) = delete;

  bool stopped() const { return stopped_; }
  bool read(user_regs_struct& registers) const {
    return ::ptrace(PTRACE_GETREGS, pid_, 0, &registers) == 0;
  }
  bool read(Registers& registers) const {
    return read(registers.general) && ::ptrace(PTRACE_GETFPREGS, pid_, 0, &registers.floating) == 0;
  }

  // One instruction. False at a signal or a system call: what those bring is not in the state. The
  // kernel leaves the address behind a system call in rcx.
  bool step(user_regs_struct& registers) {
    if (::ptrace(PTRACE_SINGLESTEP, pid_, 0, 0) != 0 || !wait()) return false;
    return signal_ == SIGTRAP && read(registers) && registers.rcx != registers.rip;
  }

 private:
  bool wait() {
    int status = 0;
    while (::waitpid(pid_, &status, __WALL) < 0) {
      if (errno != EINTR) return stopped_ = false;
    }
    signal_ = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
    return stopped_ = WIFSTOPPED(status);
  }
  pid_t pid_;
  bool stopped_ = false;
  int signal_ = 0;
};

// All that the process may write, or nothing where it shares memory or has very much.
std::string writable_memory(pid_t pid) {
  const auto folder = "/proc/" + std::to_string(pid);
  const Descriptor memory(::open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  std::ifstream maps(folder + "/maps");
  std::string all;
  for (std::string line; std::getline(maps, line);) {
    uint64_t begin = 0, end = 0;
    char dash = 0;
    std::string rights;
    std::istringstream(line) >> std::hex >> begin >> dash >> end >> rights;
    if (rights.size() < 4 || rights[1] != 'w') continue;
    if (rights[3] == 's' || all.size() + (end - begin) > kMostMemory) return {};
    const size_t at = all.size();
    all.resize(at + (end - begin));
    if (::pread(memory.get(), all.data() + at, end - begin, static_cast<off_t>(begin)) !=
        static_cast<ssize_t>(end - begin))
      return {};
  }
  return all;
}

bool same(const user_regs_struct& a, const user_regs_struct& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

// Steps until the registers are those of an earlier step (Brent's algorithm); the number of steps
// between, or 0.
int period_of(Traced& process) {
  user_regs_struct kept, now;
  if (!process.read(kept)) return 0;
  int length = 0, power = 1;
  for (int i = 0; i < kMostSteps; ++i) {
    if (!process.step(now)) return 0;
    ++length;
    if (same(now, kept)) return length;
    if (length == power) {
      kept = now;
      power *= 2;
      length = 0;
    }
  }
  return 0;
}

// No other thread, no child, and no handler of a signal but Python's own of SIGINT: nothing from
// outside changes the state.
bool is_alone(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  constexpr uint64_t kInterrupt = 1u << 1;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("Threads:") && std::stoi(line.substr(8)) != 1) return false;
    if (line.starts_with("SigCgt:") && (std::stoull(line.substr(7), nullptr, 16) & ~kInterrupt))
      return false;
  }
  return tree_use(pid, 0).processes == 1;
}

}  // namespace

bool comes_back(pid_t pid) {
  if (!is_alone(pid)) return false;
  Traced process(pid);
  if (!process.stopped()) return false;
  const int period = period_of(process);
  if (period == 0) return false;
  Registers before, after;
  if (!process.read(before)) return false;
  const auto memory = writable_memory(pid);
  user_regs_struct now;
  for (int i = 0; i < period; ++i) {
    if (!process.step(now)) return false;
  }
  return process.read(after) && before == after && !memory.empty() &&
         memory == writable_memory(pid);
}
#else
bool comes_back(pid_t) {
  return false;
}
#endif

pid_t start_proof(pid_t process) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(comes_back(process) ? 0 : 1);
  return pid;
}

Proof proof_state(pid_t proof) {
  int status = 0;
  const pid_t ended = ::waitpid(proof, &status, WNOHANG);
  if (ended == 0) return Proof::open;
  return ended == proof && status == 0 ? Proof::found : Proof::not_found;
}

}  // namespace preimage::sandbox
