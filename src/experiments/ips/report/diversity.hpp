// How alike the accepted prompts of a target are, and whether they are of more than one kind (H3).
#pragma once

#include <string>
#include <vector>

#include "../config.hpp"
#include "../embedding.hpp"
#include "rows.hpp"

namespace preimage::ips {

// Distances 1 - cos between prompts by hand: what a paraphrase is, and what another target.
struct Calibration {
  double paraphrase_90 = kUndefined;  // NaN: no target has two prompts by hand
  double other_targets = kUndefined;
};

struct PromptSet {
  std::string target_id, method;   // method "all"
  std::vector<std::string> texts;  // distinct
  std::vector<Vector> vectors;
};

// `seed` keys the restarts of k-means. Measures that need more prompts than there are stay NaN.
DiversityRow diversity(const PromptSet& set, const Calibration& calibration,
                       const DiversityConfig& config, uint64_t seed);

}  // namespace preimage::ips
