#include "supervisor/loop_proof.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "supervisor/descriptor.hpp"
#include "supervisor/process_tree.hpp"

namespace preimage::sandbox {

#ifdef __x86_64__
namespace {

constexpr int kMostSteps = 3'080;  // finds every period of up to 1024 instructions
constexpr size_t kMostMemory = 64u << 20;
// The kernel writes into a process that changes its processor meanwhile (rseq(2)), and shows its
// vector registers otherwise.
constexpr int kTries = 4;

struct Range {
  uint64_t begin = 0, end = 0;
  bool holds(uint64_t address) const { return address >= begin && address < end; }
};

// One line of /proc/PID/maps.
struct Mapping {
  Range range;
  std::string rights, name;
};

std::vector<Mapping> mappings_of(pid_t pid) {
  std::vector<Mapping> all;
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    char dash = 0;
    std::string offset, device, inode;
    std::istringstream(line) >> std::hex >> mapping.range.begin >> dash >> mapping.range.end >>
        mapping.rights >> offset >> device >> inode >> mapping.name;
    all.push_back(mapping);
  }
  return all;
}

Range clock_code(pid_t pid) {
  for (const auto& mapping : mappings_of(pid)) {
    if (mapping.name == "[vdso]") return mapping.range;
  }
  return {};
}

Descriptor open_memory(pid_t pid) {
  return Descriptor(
      ::open(("/proc/" + std::to_string(pid) + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
}

// Reads what no state holds: a clock (rdtsc, rdtscp), a random number (rdrand, rdseed), the
// processor's number (rdpid). Intel SDM vol. 2: 0F 31, 0F 01 F9, 0F C7 /6 and /7 on registers.
bool is_from_outside(const uint8_t (&code)[15]) {
  size_t at = 0;
  const auto is_prefix = [](uint8_t byte) {
    return byte == 0x66 || byte == 0xF2 || byte == 0xF3 || (byte & 0xF0) == 0x40;
  };
  while (at < 8 && is_prefix(code[at])) ++at;
  if (code[at] != 0x0F) return false;
  const uint8_t operation = code[at + 1], operand = code[at + 2];
  return operation == 0x31 || (operation == 0x01 && operand == 0xF9) ||
         (operation == 0xC7 && operand >= 0xF0);
}

// A process under our eyes; let go with this object.
class Traced {
 public:
  explicit Traced(pid_t pid) : pid_(pid), clock_code_(clock_code(pid)), memory_(open_memory(pid)) {
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
  // Those of the vector units in whatever size they have.
  std::string all_registers() const {
    user_regs_struct general;
    std::string vectors(16 << 10, '\0');
    iovec place{vectors.data(), vectors.size()};
    if (!read(general) || ::ptrace(PTRACE_GETREGSET, pid_, NT_X86_XSTATE, &place) != 0) return {};
    vectors.resize(place.iov_len);
    return vectors.append(reinterpret_cast<const char*>(&general), sizeof general);
  }

  // One instruction. False at a signal, a system call and where the kernel's clock is read without
  // one (vDSO): what those bring is not in the state. The kernel leaves the address behind a system
  // call in rcx.
  bool step(user_regs_struct& registers) {
    if (::ptrace(PTRACE_SINGLESTEP, pid_, 0, 0) != 0 || !wait()) return false;
    return signal_ == SIGTRAP && read(registers) && registers.rcx != registers.rip &&
           !clock_code_.holds(registers.rip);
  }

  // The instruction that is next takes nothing but the state.
  bool next_is_determined(uint64_t address) const {
    uint8_t code[15] = {};
    // Less than all of it at the end of a mapping, where no longer instruction fits.
    return ::pread(memory_.get(), code, sizeof code, static_cast<off_t>(address)) > 0 &&
           !is_from_outside(code);
  }

  // All that the process may write, or nothing where it shares memory or has very much.
  std::string writable_memory() const {
    std::string all;
    for (const auto& [range, rights, name] : mappings_of(pid_)) {
      if (rights.size() < 4 || rights[1] != 'w') continue;
      const uint64_t size = range.end - range.begin;
      if (rights[3] == 's' || all.size() + size > kMostMemory) return {};
      const size_t at = all.size();
      all.resize(at + size);
      if (::pread(memory_.get(), all.data() + at, size, static_cast<off_t>(range.begin)) !=
          static_cast<ssize_t>(size))
        return {};
    }
    return all;
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
  Range clock_code_;
  Descriptor memory_;
  bool stopped_ = false;
  int signal_ = 0;
};

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

// No other thread, no child, no timer, and no handler of a signal but Python's own of SIGINT:
// nothing from outside changes the state.
bool is_alone(pid_t pid) {
  const auto folder = "/proc/" + std::to_string(pid);
  if (std::ifstream(folder + "/timers").peek() != std::ifstream::traits_type::eof()) return false;
  std::ifstream status(folder + "/status");
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
  user_regs_struct now;
  if (period == 0 || !process.read(now)) return false;
  for (int i = 0; i < kTries; ++i) {
    const auto registers = process.all_registers(), memory = process.writable_memory();
    if (registers.empty() || memory.empty()) return false;
    for (int step = 0; step < period; ++step) {
      if (!process.next_is_determined(now.rip) || !process.step(now)) return false;
    }
    if (registers == process.all_registers() && memory == process.writable_memory()) return true;
  }
  return false;
}
#else
bool comes_back(pid_t) {
  return false;
}
#endif

pid_t start_proof(pid_t process) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpriority(PRIO_PROCESS, 0, -10);  // thousands of turns, each with the process waiting
    const double before = run_times(process).running_s;
    const bool found = comes_back(process);
    const double hundredths = 100 * (run_times(process).running_s - before);
    ::_exit(found ? 0 : 1 + static_cast<int>(std::clamp(hundredths, 0.0, 200.0)));
  }
  return pid;
}

ProofState proof_state(pid_t proof) {
  int status = 0;
  const pid_t ended = ::waitpid(proof, &status, WNOHANG);
  if (ended == 0) return {Proof::open, 0};
  if (ended != proof || !WIFEXITED(status)) return {Proof::not_found, 0};
  const int code = WEXITSTATUS(status);
  return code == 0 ? ProofState{Proof::found, 0} : ProofState{Proof::not_found, 0.01 * (code - 1)};
}

}  // namespace preimage::sandbox
