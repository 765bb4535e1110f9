// Samples by where they came from and what they did, and tests between such sets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "rows.hpp"

namespace preimage::grpo {

// One row for each (arm, pass, pool, hacked, gt_pass, measure), also where no sample is: n = 0 and
// NaN, so that a missing bucket is seen. Measures: cos_sgn, cos_in, cos_nll, grad_norm, adv.
std::vector<BucketRow> bucket_table(const std::vector<SampleRow>& samples);

struct ComparisonOptions {
  uint64_t seed = 0;
  int64_t draws = 2000;  // of bootstrap and permutations
};

// For each (arm, pass) and the measures cos_nll, cos_sgn and cos_in: teacher against base samples;
// within the teacher's, hacked against not, and hack without pass against hack with pass (phase 1);
// the same by strict hacks. A set that is empty gives NaN.
std::vector<ComparisonRow> compare_samples(const std::vector<SampleRow>& samples,
                                           const ComparisonOptions& options);

}  // namespace preimage::grpo
