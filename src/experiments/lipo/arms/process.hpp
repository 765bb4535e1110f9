// The Gaussian process of an arm: fitted to what Hyperband left, then updated with each observation
// of the arm's own.
#pragma once

#include "arm.hpp"
#include "preimage/bo/gaussian_process.hpp"

namespace preimage::lipo {

// Errors as targets to be made large (-error), or as they are (the plan's sign).
enum class Sign { corrected, plan };

// What the process of this round is fitted to: the start, then the arm's own observations.
bo::GpData arm_data(const ArmGround& ground, const std::vector<Observation>& own, Sign sign);

// Fitted to the start at round 0; then the process of the round before (history.parameters), which
// keeps its input scale, updated with all observations.
bo::GpModel arm_process(const ArmGround& ground, const ArmHistory& history, Sign sign,
                        const base::RandomStream& random);

// Columns of lipo/iterations that describe a process.
void describe(const bo::GpModel& model, ArmStep& step);

// ATen with one thread for as long as it lives: small products have other bits with another number
// of threads.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace preimage::lipo
