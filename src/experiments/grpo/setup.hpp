// What a run of grpo is made of before its first unit.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "config.hpp"
#include "pools/pool.hpp"
#include "pools/problems.hpp"
#include "preimage/eval/text_model.hpp"
#include "preimage/sandbox/judge.hpp"
#include "probe/extraction.hpp"

namespace preimage::grpo {

struct Setup {
  GrpoConfig config;
  uint64_t seed = 0;
  eval::TextModel student;
  Problems problems;
  std::vector<std::vector<PoolSample>> stored;  // empty: pools are generated
  std::vector<EncodedPair> pairs, style_pairs;
  std::function<std::shared_ptr<const lm::Model>()> teacher;
  std::function<sandbox::Judge&()> judge;  // made when the first program is to be run
};

}  // namespace preimage::grpo
