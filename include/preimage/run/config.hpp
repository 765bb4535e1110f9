// The group "run" of every job: what the program needs whatever the method is.
#pragma once

#include <cstdint>
#include <string>

#include "preimage/base/config.hpp"

namespace preimage::run {

struct RunConfig {
  int64_t seed = 0;
  std::string device = "auto";
  int64_t threads = 0;
  bool share_gpu = false;
  double walltime_s = 0;
  double commit_interval_s = 10;
  int64_t commit_units = 1000;
  bool strict = false;
  double watchdog_s = 0;

  void fields(base::Fields& f) {
    constexpr auto placement = base::FieldRole::placement;
    f.add("seed", seed, {.help = "seed of every random stream", .min = 0});
    f.add("device", device,
          {.help = "where models run", .choices = {"auto", "cpu", "cuda"}, .role = placement});
    f.add("threads", threads,
          {.help =
               "threads of a rank; 0: OMP_NUM_THREADS, or the host's cores divided among its ranks",
           .min = 0,
           .max = 4096,
           .role = placement});
    f.add("share_gpu", share_gpu, {.help = "several ranks may use one GPU", .role = placement});
    f.add("walltime_s", walltime_s,
          {.help = "stop in good order after this time; 0: no limit",
           .unit = "s",
           .min = 0,
           .role = placement});
    f.add("commit_interval_s", commit_interval_s,
          {.help = "longest time that finished units wait in memory",
           .unit = "s",
           .min = 0,
           .max = 3600,
           .role = placement});
    f.add("commit_units", commit_units,
          {.help = "most finished units that wait in memory", .min = 1, .role = placement});
    f.add("strict", strict,
          {.help = "refuse to go on with another program, CPU or GPU than the run began with",
           .role = placement});
    f.add("watchdog_s", watchdog_s,
          {.help = "end the run when a rank shows no sign of life for this time; 0: never",
           .unit = "s",
           .min = 0,
           .role = placement});
  }
};

}  // namespace preimage::run
