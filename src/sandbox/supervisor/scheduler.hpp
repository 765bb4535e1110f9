// Which program runs when: as many computing at once as there are processors, sleeping and long
// ones beside them, each time-out once more alone, our own failures again.
#pragma once

#include <cmath>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "supervisor/events.hpp"
#include "supervisor/slot.hpp"

namespace preimage::sandbox {

struct SchedulerOptions {
  Level level = Level::full;
  Limits limits;  // calibrated
  Walls walls;
  Python python;
  int workers = 1;
  int slots = 16;
  bool confirm_timeouts = true;
  std::function<void(Record)> done;
};

class Scheduler {
 public:
  // Starts the zygotes and the first slots. Throws ExitCode::unavailable.
  Scheduler(Events& events, const SchedulerOptions& options);
  ~Scheduler();

  void submit(uint64_t ticket, Request request);
  bool idle() const { return waiting_.empty() && confirming_.empty() && running_ == 0; }

  // Starts what may start, ends what is over its limits, and gives the milliseconds until it must
  // be called again though nothing happens (-1: never).
  int step();

  void set_limits(const Limits& limits) { options_.limits = limits; }
  pid_t zygote(Role role) const { return role == Role::judge ? judges_.pid : candidates_.pid; }
  const Cgroup::Kind& cgroup() const { return cgroup_; }

 private:
  void start_waiting();
  void start(Job job);
  Slot* idle_slot();
  void watch(Slot& slot, double now);
  double waited_s(const Slot::Watch& seen, double now) const;
  void end_by_clock(Slot& slot, double now);
  bool is_strict(const Job& job) const;
  double cpu_limit_s(const Slot& slot) const;
  bool is_over(const Run& run) const;
  bool needs_second_run(const Job& job, const Run& run) const;
  void look_for_loop(Slot& slot, double now);
  void look_at(Slot& slot, double now);
  void look_at_delays(Slot& slot);
  void look_at_judge(Slot& slot);
  void end_by_memory(Slot& slot, int processes, int64_t rss_bytes);
  void promote();
  void ended(Slot& slot);
  void settle(Job job, Run run);
  bool may_confirm(double now) const;

  Events& events_;
  SchedulerOptions options_;
  Cgroup::Kind cgroup_;
  Zygote candidates_, judges_;
  int64_t shared_bytes_ = 0;  // resident in a fresh fork
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::unique_ptr<Slot>> retired_;
  std::deque<Job> waiting_;
  std::deque<Job> confirming_;
  double confirming_since_s_ = 0;
  int running_ = 0, foreground_ = 0;
  int proofs_ = 0;      // under way: one at a time
  bool alone_ = false;  // the one that runs must have no company
};

}  // namespace preimage::sandbox
