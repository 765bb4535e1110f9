// Where the sweep's rewards come from. The sandbox answers while the model writes the next
// completions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pools/grader.hpp"

namespace preimage::grpo {

class RewardSource {
 public:
  virtual ~RewardSource() = default;
  // Problems to train on, and those to evaluate on.
  virtual int64_t problems(bool test) const = 0;
  virtual std::vector<int64_t> prompt(bool test, int64_t problem, bool hint) const = 0;  // ids
  // Returns at once.
  virtual void submit(int64_t ticket, bool test, int64_t problem, const std::string& response) = 0;
  // A grade in any order; waits up to `timeout_s` (0: only looks; < 0: as long as it takes).
  virtual std::optional<std::pair<int64_t, Grade>> next(double timeout_s) = 0;
};

}  // namespace preimage::grpo
