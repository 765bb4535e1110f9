// Losses without any optimisation: what "solved" is measured against.
#pragma once

#include <vector>

#include "initialise.hpp"
#include "pairs.hpp"
#include "preimage/base/json.hpp"
#include "report/rows.hpp"

namespace preimage::dcm {

// Means over the draws, nats a token.
struct Baselines {
  double random_q = none, random_a = none;  // R: behind mode and random vectors
  double full_q = none, full_q_bos = none;  // F: the question from the answer, from BOS alone
  double full_a = none,
         full_a_passage = none;  // F: the answer from the question, from passage and question
  double single_q = none, single_a = none;  // S: behind one random token
};
base::Json to_json(const Baselines& baselines);
Baselines baselines_from_json(const base::Json& json);

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
