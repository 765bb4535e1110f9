// Learning rate as a function of the step, for one optimisation problem.
#pragma once

#include <cstdint>
#include <string>

#include "preimage/base/config.hpp"

namespace preimage::optim {

// The kinds, with T = steps, t = the step counted from 0:
//   constant        lr
//   cosine          lr (1 + cos(pi t / T)) / 2
//   coarse-fine     lr for t < coarse_steps, then fine_lr; Adam's moments are reset at the switch
//   warm-restarts   cosine over periods of first_period, period_factor first_period, ... steps,
//   each
//                   from lr to 0 (Loshchilov and Hutter, "SGDR", 2017, eq. 5, eta_min 0)
//   warmup-cosine   lr (t + 1) / warmup_steps for t < warmup_steps, then a cosine from lr at
//                   t = warmup_steps to lr final_fraction at t = T
struct ScheduleOptions {
  std::string kind = "cosine";
  double lr = 0.01;
  int64_t steps = 500;
  int64_t coarse_steps = 200;
  double fine_lr = 0.005;
  int64_t first_period = 800;
  int64_t period_factor = 2;
  int64_t warmup_steps = 0;
  double final_fraction = 0;

  void fields(base::Fields& f);
  // The fields without `steps`, for a method whose own number of steps is the schedule's length.
  struct Shape {
    ScheduleOptions& schedule;
    void fields(base::Fields& f);
  };
  Shape shape() { return {*this}; }
  // Rules between fields; `prefix` ("dcm.schedule.") starts every name.
  base::ConfigErrors check(const std::string& prefix) const;
};

// The rate of step t, 0 <= t. At t >= T cosine and warmup-cosine stay at their last value.
double learning_rate(const ScheduleOptions& options, int64_t step);

// True when Adam's moments and step count are zeroed before step t.
bool resets_moments_at(const ScheduleOptions& options, int64_t step);

}  // namespace preimage::optim
