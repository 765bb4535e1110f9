#include "preimage/optim/schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "preimage/base/error.hpp"
#include "preimage/base/str.hpp"

namespace preimage::optim {
namespace {

// From 1 at `step` = 0 to 0 at `step` = `period`.
double cosine_factor(int64_t step, int64_t period) {
  if (step >= period) return 0;
  return 0.5 *
         (1 + std::cos(std::numbers::pi * static_cast<double>(step) / static_cast<double>(period)));
}

double warm_restart_factor(const ScheduleOptions& options, int64_t step) {
  int64_t period = options.first_period, start = 0;
  // Compared by difference: a start + period near the end of int64 would overflow.
  while (step - start >= period) {
    start += period;
    if (period > INT64_MAX / options.period_factor) break;
    period *= options.period_factor;
  }
  return cosine_factor(step - start, period);
}

double warmup_cosine(const ScheduleOptions& options, int64_t step) {
  if (step < options.warmup_steps) {
    return options.lr * static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  }
  const double factor =
      cosine_factor(step - options.warmup_steps, options.steps - options.warmup_steps);
  return options.lr * (options.final_fraction + (1 - options.final_fraction) * factor);
}

}  // namespace

void ScheduleOptions::fields(base::Fields& f) {
  f.add("steps", steps, {.help = "length of the schedule", .unit = "steps", .min = 1, .max = 1e9});
  shape().fields(f);
}

void ScheduleOptions::Shape::fields(base::Fields& f) {
  auto& s = schedule;
  f.add("kind", s.kind,
        {.help = "learning-rate schedule",
         .choices = {"constant", "cosine", "coarse-fine", "warm-restarts", "warmup-cosine"}});
  f.add("lr", s.lr, {.help = "learning rate at its highest", .min = 0, .max = 100});
  f.add("coarse_steps", s.coarse_steps,
        {.help = "coarse-fine: steps before the switch to fine_lr",
         .unit = "steps",
         .min = 1,
         .max = 1e9});
  f.add("fine_lr", s.fine_lr,
        {.help = "coarse-fine: learning rate after the switch", .min = 0, .max = 100});
  f.add(
      "first_period", s.first_period,
      {.help = "warm-restarts: length of the first period", .unit = "steps", .min = 1, .max = 1e9});
  f.add("period_factor", s.period_factor,
        {.help = "warm-restarts: each period is this many times as long as the one before",
         .min = 1,
         .max = 100});
  f.add("warmup_steps", s.warmup_steps,
        {.help = "warmup-cosine: steps of linear warm-up", .unit = "steps", .min = 0, .max = 1e9});
  f.add("final_fraction", s.final_fraction,
        {.help = "warmup-cosine: last learning rate as a fraction of lr", .min = 0, .max = 1});
}

base::ConfigErrors ScheduleOptions::check(const std::string& prefix) const {
  base::ConfigErrors errors;
  if (kind == "coarse-fine" && coarse_steps >= steps) {
    errors.push_back(base::str("\"", prefix, "coarse_steps\": found ", coarse_steps,
                               ", expected fewer than the ", steps, " steps in all"));
  }
  if (kind == "warmup-cosine" && warmup_steps >= steps) {
    errors.push_back(base::str("\"", prefix, "warmup_steps\": found ", warmup_steps,
                               ", expected fewer than the ", steps, " steps in all"));
  }
  return errors;
}

double learning_rate(const ScheduleOptions& options, int64_t step) {
  base::check(step >= 0, "a step is counted from 0");
  if (options.kind == "constant") return options.lr;
  if (options.kind == "cosine") return options.lr * cosine_factor(step, options.steps);
  if (options.kind == "coarse-fine") {
    return step < options.coarse_steps ? options.lr : options.fine_lr;
  }
  if (options.kind == "warm-restarts") return options.lr * warm_restart_factor(options, step);
  base::check(options.kind == "warmup-cosine", "a schedule of a known kind: " + options.kind);
  return warmup_cosine(options, step);
}

bool resets_moments_at(const ScheduleOptions& options, int64_t step) {
  return options.kind == "coarse-fine" && step == options.coarse_steps;
}

}  // namespace preimage::optim
