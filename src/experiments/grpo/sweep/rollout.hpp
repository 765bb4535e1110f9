// Completions of the present policy with their rewards.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "preimage/lm/generate/generator.hpp"
#include "sweep/reward_source.hpp"

namespace preimage::grpo {

struct Sample {
  std::vector<int64_t> completion;  // ids, the token that ended it among them
  Grade grade;
};

// The completions of one prompt.
struct SampleGroup {
  int64_t problem = 0;
  std::vector<int64_t> prompt;
  std::vector<Sample> samples;
};

struct RolloutTask {
  bool test = false;
  int64_t problem = 0;
  bool hint = true;
  uint64_t key = 0;  // of the random numbers: equal keys and policies give equal completions
};

struct RolloutOptions {
  int64_t group = 6;
  int64_t max_new_tokens = 1536;
  double temperature = 0.7, top_p = 0.95;
  std::vector<int64_t> stop_ids;   // the first is put behind a completion that one of them ended
  std::function<bool()> stopping;  // asked between passes; once true, what comes back is not whole
};

// In the order of the tasks. Nothing may be pending in the generator or the source; completions are
// judged while others are written.
std::vector<SampleGroup> roll_out(lm::Generator& generator, RewardSource& source,
                                  const std::vector<RolloutTask>& tasks,
                                  const RolloutOptions& options);

// Groups as bytes and back: what ranks that share a run tell each other.
std::string packed_groups(const std::vector<SampleGroup>& groups);
std::vector<SampleGroup> unpacked_groups(const std::string& bytes);

// Means over samples. Rates whose condition no sample meets are NaN.
struct RolloutMeans {
  double reward = 0, strict_hack = 0, hacked = 0;  // hacked: the loophole used, or vacuous tests
  double gt_pass = 0, defines_tests = 0;
  double hack_of_attempts = 0;  // P(strict hack | defines tests)
  double tokens = 0;
  int64_t samples = 0;
};
RolloutMeans means_of(const std::vector<SampleGroup>& groups);

}  // namespace preimage::grpo
