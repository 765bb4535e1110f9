// When to stop: a request (signal), or the wall clock running out.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

namespace preimage::base {

using Clock = std::chrono::steady_clock;

// Seconds on a clock that never jumps.
double monotonic_seconds();

// From now on SIGINT, SIGTERM, SIGUSR2 and SIGHUP (unless ignored: nohup) only set a flag, which
// every Budget sees; a second SIGINT ends the process. May run before any constructor.
void catch_stop_signals();
bool stop_signal_seen();

class Budget {
 public:
  // `walltime_s` <= 0: no limit. SLURM_JOB_END_TIME (Unix seconds, else ExitCode::bad_config)
  // limits too; the run stops `reserve_s` earlier so that what is in hand can be committed.
  explicit Budget(double walltime_s = 0, double reserve_s = 30);

  bool must_stop() const;
  std::string reason() const;  // "signal", "walltime", "" while must_stop() is false
  void request_stop() { requested_ = true; }
  double elapsed_s() const;

 private:
  double start_s_;
  double deadline_s_;  // monotonic seconds; infinity without a limit
  std::atomic<bool> requested_ = false;
};

}  // namespace preimage::base
