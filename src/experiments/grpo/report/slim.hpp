// The slim records of the plan: one JSON object a sample, one compressed file a step.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rows.hpp"

namespace preimage::grpo {

// "ARM-PASS/step_007.cos.jsonl.gz" and its bytes, for each step of each arm. No text of prompt or
// completion; what does not exist is null. The keys are the plan's sixteen, then adv, loss,
// cos_nll, cos_sgn, strict_hack, prompt_len, leak, k_mean, seed, schema.
std::vector<std::pair<std::string, std::string>> slim_files(const std::vector<SampleRow>& samples,
                                                            uint64_t seed);
// The line of one sample.
std::string slim_record(const SampleRow& sample, uint64_t seed);

}  // namespace preimage::grpo
