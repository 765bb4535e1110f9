#include "preimage/base/budget.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <limits>

#include <unistd.h>

#include "preimage/base/error.hpp"

namespace preimage::base {
namespace {

std::atomic<int> signals_seen = 0;  // lock-free: written by the handler

void on_signal(int signal) {
  const int before = signals_seen.fetch_add(1);
  if (signal == SIGINT && before > 0) _exit(130);
}

double unix_seconds(const std::string& text) {
  int64_t seconds = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && seconds > 0)
    return static_cast<double>(seconds);
  throw config_error("SLURM_JOB_END_TIME: found \"" + text +
                     "\", expected seconds since 1970 as Slurm sets it; unset it or correct it");
}

}  // namespace

double monotonic_seconds() {
  return std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR2, SIGHUP}) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    // nohup means it; a shell ignores SIGINT for all that it starts in the background
    const bool ignored = before.sa_handler == SIG_IGN && signal == SIGHUP;
    if (!ignored) sigaction(signal, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file-size limit is an error of write(2), like a full disk
}

bool stop_signal_seen() {
  return signals_seen.load() > 0;
}

Budget::Budget(double walltime_s, double reserve_s)
    : start_s_(monotonic_seconds()), deadline_s_(std::numeric_limits<double>::infinity()) {
  if (walltime_s > 0) deadline_s_ = start_s_ + walltime_s;
  if (const char* end = std::getenv("SLURM_JOB_END_TIME")) {
    const double left = unix_seconds(end) - static_cast<double>(std::time(nullptr)) - reserve_s;
    deadline_s_ = std::min(deadline_s_, start_s_ + left);
  }
}

bool Budget::must_stop() const {
  return !reason().empty();
}

std::string Budget::reason() const {
  if (requested_ || stop_signal_seen()) return "signal";
  if (monotonic_seconds() >= deadline_s_) return "walltime";
  return "";
}

double Budget::elapsed_s() const {
  return monotonic_seconds() - start_s_;
}

}  // namespace preimage::base
