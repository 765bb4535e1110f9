// When to stop: a request (signal), or the wall clock running out.
#pragma once

#include <atomic>
#include <chrono>
#include <string>

namespace preimage::base {

using Clock = std::chrono::steady_clock;

// Seconds on a clock that never jumps.
double monotonic_seconds();

// From now on SIGINT, SIGTERM and SIGUSR2 only set a flag, which every Budget sees. A second SIGINT
// ends the process at once, as a person who presses Ctrl-C twice expects. SIGUSR1 is left alone.
void catch_stop_signals();
bool stop_signal_seen();

class Budget {
 public:
  // `walltime_s` <= 0: no limit. SLURM_JOB_END_TIME (Unix seconds), when set, limits too; the run
  // stops `reserve_s` earlier so that what is in hand can be committed.
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
