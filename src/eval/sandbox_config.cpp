#include "preimage/eval/sandbox_config.hpp"

namespace preimage::eval {

void SandboxConfig::fields(base::Fields& f) {
  f.add("level", level, {.help = "walls around programs", .choices = {"full", "user"}});
  f.add("cpu_s", cpu_s,
        {.help = "time of a program, scaled to this machine", .unit = "s", .min = 0.01});
  f.add("wall_s", wall_s, {.help = "likewise, by the clock", .unit = "s", .min = 0.01});
  f.add("memory_mb", memory_mb, {.help = "memory of a program", .unit = "MiB", .min = 16});
  f.add("workers", workers,
        {.help = "programs that compute at once on each rank; 0: its threads",
         .min = 0,
         .role = base::FieldRole::placement});
}

sandbox::PoolOptions pool_options(const SandboxConfig& config, int threads) {
  sandbox::PoolOptions options;
  options.level = config.level == "user" ? sandbox::Level::user : sandbox::Level::full;
  options.limits.cpu_s = config.cpu_s;
  options.limits.wall_s = config.wall_s;
  options.limits.memory_mb = config.memory_mb;
  options.workers = config.workers > 0 ? static_cast<int>(config.workers) : threads;
  return options;
}

}  // namespace preimage::eval
