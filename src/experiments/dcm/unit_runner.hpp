// Runs the optimisation units of one wave on one worker: takes units whenever the batch has room,
// starts restarts where one failed, decodes what ended, commits.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "baselines.hpp"
#include "optimiser.hpp"
#include "preimage/run/search.hpp"
#include "setup.hpp"

namespace preimage::dcm {

// One optimisation of a unit with its restarts: both targets together, or one alone (stage single).
struct Task {
  std::vector<Side> sides;
  int64_t started = 0;  // restarts given to the optimiser
  // Restarts that count. Under the policy "failures": those up to the first that reproduces its
  // targets. Later ones may have been started where the batch had room; they leave no trace, so the
  // result is that of restarts run one after another.
  int64_t limit = 0;
  struct Restart {
    Trajectory trajectory;
    FirstSteps first;
    int64_t tag = -1;  // of its problem in the optimiser
    bool ended = false;
  };
  std::vector<Restart> restarts;  // by index
  bool done = false;
  int64_t chosen = -1;  // smallest loss among those that reproduce their targets, or among all
  int64_t needed = -1;  // 1 + index of the first that reproduces its targets
};

struct UnitInFlight {
  run::Unit unit;
  const Pair* pair = nullptr;
  Baselines baselines;
  int64_t k = 0;
  RandomLoss random;  // the baseline R at this K
  std::vector<Task> tasks;
  bool done() const;
};

// The units that a worker holds at most: its share of the wave in as many equal rounds as its batch
// needs, so that the first worker to come does not take all there are, nor the last round alone.
// `positions`: of one pass over all units; `full_batch`: of the largest batch.
int64_t units_at_once(int64_t units, int64_t workers, int64_t positions, int64_t full_batch);

class UnitRunner {
 public:
  // The wave has `units` of `positions` in all, shared out among `workers`.
  struct Share {
    int64_t units = 0;
    int64_t positions = 0;
    int64_t workers = 1;
  };
  UnitRunner(const Setup& setup, const std::vector<Baselines>& baselines, const Share& share);
  ~UnitRunner();
  void run(run::Work& work);

 private:
  void take(run::Work& work);
  bool room() const;
  void start_restarts(UnitInFlight& unit, size_t task);
  void drop_later_restarts(Task& task, int64_t reproduced);
  void add_restart(UnitInFlight& unit, size_t task, int64_t restart);
  void finish_restart(Trajectory trajectory);
  void commit_done(run::Work& work);

  const Setup& setup_;
  const std::vector<Baselines>& baselines_;
  int64_t full_batch_;  // positions
  size_t most_units_;
  Optimiser optimiser_;
  std::list<UnitInFlight> units_;
  struct Ticket {
    UnitInFlight* unit;
    size_t task;
    int64_t restart;
  };
  std::vector<Ticket> tickets_;  // a problem's tag is its place here
};

// Whether every side meets the rule of conv at one c.
bool meets_conv(const Evaluation& at, const UnitInFlight& unit, const Task& task,
                const ConvergenceOptions& options);

// A trajectory reproduces its targets when every token of every side is the argmax.
bool reproduces(const Trajectory& trajectory);

}  // namespace preimage::dcm
