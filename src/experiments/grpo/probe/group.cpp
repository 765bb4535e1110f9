#include "group.hpp"

#include <map>

namespace preimage::grpo {

std::vector<ProbeGroup> make_groups(const ProbeConfig& config,
                                    const std::vector<std::vector<PoolSample>>& pools) {
  // [pool][step]: its samples in order.
  std::vector<std::map<int64_t, std::vector<const PoolSample*>>> by_step(pools.size());
  for (size_t p = 0; p < pools.size(); ++p)
    for (const auto& sample : pools[p]) by_step[p][sample.step].push_back(&sample);
  const bool whole = pools.size() == 1;
  const int64_t halves = config.both_halves && !whole ? 2 : 1;
  std::vector<ProbeGroup> out;
  for (int64_t step = 0; step < config.steps; ++step) {
    const int64_t source = step / halves;
    ProbeGroup group{step, {}};
    bool complete = true;
    for (size_t p = 0; p < pools.size(); ++p) {
      const auto found = by_step[p].find(source);
      if (found == by_step[p].end()) {
        complete = false;
        break;
      }
      const auto& samples = found->second;
      const size_t half = samples.size() / 2;
      const size_t begin = whole ? 0 : step % halves == 1 ? half : 0;
      const size_t end = whole ? samples.size() : begin + half;
      for (size_t i = begin; i < end; ++i) group.samples.push_back({samples[i], p == 1, {}});
    }
    if (complete && !group.samples.empty()) out.push_back(std::move(group));
  }
  return out;
}

}  // namespace preimage::grpo
