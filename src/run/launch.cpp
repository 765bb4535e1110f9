#include "preimage/run/launch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <regex>
#include <thread>

#include "preimage/base/budget.hpp"
#include "preimage/base/error.hpp"
#include "preimage/base/process.hpp"
#include "preimage/base/str.hpp"
#include "preimage/run/lock.hpp"
#include "preimage/run/manifest.hpp"
#include "preimage/store/journal.hpp"

namespace preimage::run {
namespace {

using base::ExitCode;
using base::str;

constexpr double kTellInterval_s = 0.25;  // of a stop request to mpirun

// What Open MPI needs so that any number of ranks runs anywhere; values already set are kept.
std::vector<std::string> mpi_environment() {
  std::vector<std::string> out;
  const auto set = [&](const char* name, const char* value) {
    if (!std::getenv(name)) out.push_back(str(name, "=", value));
  };
  set("OMPI_MCA_rmaps_base_oversubscribe", "1");
  set("OMPI_MCA_hwloc_base_binding_policy", "none");
  if (::geteuid() == 0) {
    set("OMPI_ALLOW_RUN_AS_ROOT", "1");
    set("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
  }
  if (::isatty(STDERR_FILENO)) set("PREIMAGE_TERMINAL", "1");
  return out;
}

void show(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void say(const std::string& text) {
  show("preimage: " + text + "\n");
}

struct Outcome {
  base::ProcessEnd end;
  BannerFilter banner;
};

// Copies mpirun's standard error until it closes; passes a stop request on. Again and again: in its
// first second mpirun ignores the signal, and then forwards it to the ranks and goes on.
void pump(int fd, pid_t mpirun, BannerFilter& banner) {
  double told_s = 0;
  char buffer[4096];
  for (;;) {
    if (base::stop_signal_seen() && base::monotonic_seconds() - told_s > kTellInterval_s) {
      ::kill(mpirun, SIGUSR2);
      told_s = base::monotonic_seconds();
    }
    pollfd poll_fd{fd, POLLIN, 0};
    if (::poll(&poll_fd, 1, 100) <= 0) continue;
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    show(banner.pass(std::string(buffer, static_cast<size_t>(got))));
  }
  show(banner.finish());
}

Outcome run_once(const LaunchOptions& options, bool resume) {
  base::ProcessOptions process;
  process.argv = options.mpirun;
  process.argv.insert(process.argv.end(), {"-n", str(options.ranks)});
  process.argv.insert(process.argv.end(), options.command.begin(), options.command.end());
  if (resume) process.argv.push_back("--resume");
  process.environment = mpi_environment();
  // A group of its own: Ctrl-C reaches the supervisor only, which stops the run in good order.
  process.own_process_group = true;
  // Whatever ends the supervisor (SIGKILL, too) ends mpirun, and mpirun its ranks, which commit.
  process.death_signal = SIGTERM;
  process.ignored = {SIGUSR2};  // until mpirun forwards it; its default would end mpirun
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw base::errno_error("pipe failed", errno);
  process.stderr_fd = ends[1];
  Outcome out;
  pid_t pid = 0;
  try {
    pid = base::start_process(process);
  } catch (...) {
    ::close(ends[0]), ::close(ends[1]);
    throw;
  }
  ::close(ends[1]);
  pump(ends[0], pid, out.banner);
  ::close(ends[0]);
  out.end = base::wait_process(pid);
  return out;
}

int64_t results_in(const std::filesystem::path& out) {
  const auto journal = store::load_journal(out / "journal");
  return static_cast<int64_t>(journal.units.size());
}

// Codes with which another start would only fail again.
bool is_final(int code) {
  for (const auto final_code : {ExitCode::bad_data, ExitCode::unavailable, ExitCode::io,
                                ExitCode::bad_config, ExitCode::stopped}) {
    if (code == static_cast<int>(final_code)) return true;
  }
  return false;
}

// Ranks outlive a killed mpirun by seconds.
void wait_until_unused(const std::filesystem::path& folder) {
  for (int i = 0; i < 150 && !folder_user(folder).empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// Sleeps before a restart; true when asked to stop meanwhile.
bool back_off(double seconds) {
  const double until = base::monotonic_seconds() + seconds;
  while (base::monotonic_seconds() < until && !base::stop_signal_seen()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return base::stop_signal_seen();
}

// The watchdog of one rank may end the run for the silence of another: the state knows better than
// mpirun.
int culprit_of(const RunState& state, const BannerFilter& banner) {
  const bool told = state.status == "failed" && state.culprit != RunState::kUnknown;
  return told ? state.culprit : banner.crashed_rank();
}

int stopped_early() {
  say("stopped (signal) before the ranks had begun; --resume goes on");
  return static_cast<int>(ExitCode::stopped);
}

}  // namespace

std::string BannerFilter::pass(const std::string& bytes) {
  std::string out;
  for (const char byte : bytes) {
    line_ += byte;
    if (byte == '\r' && !inside_) {  // a live line is redrawn
      out += line_;
      line_.clear();
    }
    if (byte != '\n') continue;
    const bool rule = line_.size() > 60 && line_.find_first_not_of("-\n") == std::string::npos;
    if (rule) inside_ = !inside_;
    const bool drop = rule || inside_ || line_.find("PMIX ERROR") != std::string::npos ||
                      line_.find("mpirun: Forwarding signal") != std::string::npos ||
                      line_.find("more process") != std::string::npos ||
                      line_.find("orte_base_help_aggregate") != std::string::npos;
    (drop ? swallowed_ : out) += line_;
    line_.clear();
  }
  // A live line has no end; hold back only what may be a rule.
  if (!line_.empty() && !inside_ && line_.find_first_not_of('-') != std::string::npos &&
      line_.front() == '\x1b') {
    out += line_;
    line_.clear();
  }
  return out;
}

std::string BannerFilter::finish() {
  std::string out;
  (inside_ ? swallowed_ : out) += line_;
  line_.clear();
  return out;
}

int BannerFilter::crashed_rank() const {
  static const std::regex patterns[] = {
      std::regex(R"(process rank (\d+) with PID \d+ on node \S+ exited on signal)"),
      std::regex(R"(MPI_ABORT was invoked on rank (\d+))"),
      std::regex(R"(Process name: \[\[\d+,\d+\],(\d+)\])")};
  for (const auto& pattern : patterns) {
    std::smatch match;
    if (std::regex_search(swallowed_, match, pattern)) return std::atoi(match[1].str().c_str());
  }
  return -1;
}

int launch(const LaunchOptions& options) {
  base::catch_stop_signals();
  bool resume = options.resume;
  int failures = 0;
  for (;;) {
    if (base::stop_signal_seen()) return stopped_early();
    const int64_t before = results_in(options.out);
    const auto state_before = read_state(options.out);
    const auto outcome = run_once(options, resume);
    const auto state = read_state(options.out);
    const bool began = state.generation != state_before.generation ||
                       state.status != state_before.status || state.status == "done" ||
                       state.status == "running";
    if (outcome.end.exit_code == 0 && state.status == "done") return 0;
    // A rank that is still being loaded dies by the signal: nothing had begun there.
    if (!began && base::stop_signal_seen() && !is_final(outcome.end.exit_code))
      return stopped_early();
    if (!began || is_final(outcome.end.exit_code)) {
      if (!began && !is_final(outcome.end.exit_code)) show(outcome.banner.swallowed());
      return outcome.end.exit_code;
    }
    if (state.status == "stopped" || is_final(state.exit_code)) return state.exit_code;
    if (base::stop_signal_seen() && state.status == "running")
      return static_cast<int>(ExitCode::stopped);
    // A rank died, or found a bug: its units in flight are suspects.
    wait_until_unused(options.out);
    const int rank = culprit_of(state, outcome.banner);
    if (rank != RunState::kNobody)
      store::mark_crash(options.out / "journal", state.generation, rank);
    const bool progress = results_in(options.out) > before;
    failures = progress ? 1 : failures + 1;
    const std::string who = rank < 0 ? "the run" : str("rank ", rank);
    if (failures > options.restarts) {
      say(str(who, " crashed again (exit code ", outcome.end.exit_code,
              ") and nothing was gained in ", options.restarts, " restarts; see ",
              (options.out / "log").string()));
      return static_cast<int>(ExitCode::bug);
    }
    const double pause = options.backoff_s * (1 << (failures - 1));
    say(str(who, " crashed (exit code ", outcome.end.exit_code, "); restart ", failures, " of ",
            options.restarts, " in ", base::human_seconds(pause)));
    if (back_off(pause)) return stopped_early();
    resume = true;
  }
}

}  // namespace preimage::run
