// Choosing what the model is trained to tell apart: passing and failing candidates of one problem.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "preimage/base/config.hpp"

namespace preimage::verifier {

struct MiningOptions {
  int64_t negatives = 4;        // failing candidates for each passing one
  double hard_share = 0.5;      // of them: nearest by edit distance; the rest uniform
  int64_t problem_pairs = 200;  // most pairs of one problem and epoch
  void fields(base::Fields& f);
};

// A candidate as mining sees it.
struct MiningCandidate {
  std::string program;
  std::string normal_form;  // equal for programs that differ in layout alone
  bool passes = false;
};

// A passing candidate with its failing ones; indices into the problem's candidates.
struct Group {
  int64_t problem = 0;
  int64_t positive = 0;
  std::vector<int64_t> negatives;
  int64_t hard = 0;   // the first so many of `negatives` are the nearest
  double weight = 0;  // groups of a problem add up to 1
};

// One problem's distinct candidates: the first of each normal form, in order.
struct DistinctCandidates {
  std::vector<int64_t> passing, failing;
  int64_t duplicates = 0;
  int64_t contradictions = 0;  // normal forms that both passed and failed: left out whole
};
DistinctCandidates distinct_candidates(const std::vector<MiningCandidate>& candidates);

// Mines epoch after epoch; what does not change between epochs is computed once.
class PairMiner {
 public:
  // problems[p] are the candidates of problem p; `seed` keys all draws.
  PairMiner(std::vector<std::vector<MiningCandidate>> problems, const MiningOptions& options,
            uint64_t seed);
  // The groups of one epoch in training order, a permutation keyed by (seed, epoch). A problem
  // without a passing or without a failing candidate gives none.
  std::vector<Group> epoch(int64_t epoch) const;
  // Groups that one epoch has.
  int64_t groups_per_epoch() const;
  int64_t problems_with_both() const;
  const std::vector<DistinctCandidates>& distinct() const { return distinct_; }

 private:
  std::vector<Group> problem_groups(size_t problem, int64_t epoch) const;
  int64_t groups_of(const DistinctCandidates& distinct) const;

  std::vector<std::vector<MiningCandidate>> problems_;
  MiningOptions options_;
  uint64_t seed_;
  std::vector<DistinctCandidates> distinct_;
  // [problem][place in passing]: the failing candidates nearest to it, nearest first.
  std::vector<std::vector<std::vector<int64_t>>> nearest_;
};

}  // namespace preimage::verifier
