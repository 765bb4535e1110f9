// Which samples of the pools make a step's group.
#pragma once

#include <cstdint>
#include <vector>

#include "basis.hpp"
#include "config.hpp"
#include "pools/pool.hpp"

namespace preimage::grpo {

struct GroupSample {
  const PoolSample* source = nullptr;
  bool base = false;          // of the pool without the hint
  std::vector<int64_t> bare;  // prompt without the hint, where it is another one
};

struct ProbeGroup {
  int64_t step = 0;
  std::vector<GroupSample> samples;
};

// Step k: the first half of the samples of step k of either pool, the teacher's first; with both
// halves step 2k and, of the others, step 2k + 1. With one pool: all samples of its step k. Steps
// that a pool lacks are left out. `pools` must outlive the groups.
std::vector<ProbeGroup> make_groups(const ProbeConfig& config,
                                    const std::vector<std::vector<PoolSample>>& pools);

}  // namespace preimage::grpo
