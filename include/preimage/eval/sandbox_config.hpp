// The group "sandbox" of every job that runs programs.
#pragma once

#include <cstdint>
#include <string>

#include "preimage/base/config.hpp"
#include "preimage/sandbox/pool.hpp"

namespace preimage::eval {

struct SandboxConfig {
  std::string level = "full";
  double cpu_s = 2, wall_s = 6;
  int64_t memory_mb = 1024;
  int64_t workers = 0;
  void fields(base::Fields& f);
};

// `threads`: what a worker count of 0 stands for.
sandbox::PoolOptions pool_options(const SandboxConfig& config, int threads);

}  // namespace preimage::eval
