// Losses without any optimisation: what "solved" is measured against.
#pragma once

#include <map>
#include <vector>

#include "initialise.hpp"
#include "pairs.hpp"
#include "preimage/base/json.hpp"
#include "report/rows.hpp"

namespace preimage::dcm {

// R: behind mode and K random vectors.
struct RandomLoss {
  double q = none, a = none;
};
// Means over the draws, nats a token.
struct Baselines {
  std::map<int64_t, RandomLoss> random;     // by K
  double full_q = none, full_q_bos = none;  // F: the question from the answer, from BOS alone
  double full_a = none,
         full_a_passage = none;  // F: the answer from the question, from passage and question
  double single_q = none, single_a = none;  // S: behind one random token
};
base::Json to_json(const Baselines& baselines);
// ExitCode::bug where a key is missing.
Baselines baselines_from_json(const base::Json& json);
// Every K whose units of the pair are judged by R: the main one, and those of the sweep.
std::vector<int64_t> judged_k(const DcmConfig& config, int64_t pair_index);

struct BaselineInputs {
  const DcmConfig& config;
  const text::Tokenizer& tokenizer;
  const Vocabulary& vocabulary;
  const TableStatistics& statistics;
  const lm::Model& model;
  uint64_t seed;
};
struct PairBaselines {
  Baselines means;
  std::vector<BaselineRow> rows;  // one for each draw and kind
};
// All pairs in one batch; a pair's result does not depend on the others.
std::vector<PairBaselines> measure_baselines(const BaselineInputs& inputs,
                                             const std::vector<const Pair*>& pairs);

}  // namespace preimage::dcm
