// What all units of a dcm run share: the frozen model and what was measured on it once.
#pragma once

#include <memory>
#include <vector>

#include "config.hpp"
#include "initialise.hpp"
#include "pairs.hpp"
#include "preimage/lm/model.hpp"
#include "report/text_cosine.hpp"

namespace preimage::dcm {

struct Setup {
  DcmConfig config;
  uint64_t seed = 0;
  text::Tokenizer tokenizer;
  Vocabulary vocabulary;
  std::vector<Pair> pairs;
  std::shared_ptr<const lm::Model> model;
  TableStatistics statistics;
  at::Tensor modes;  // [2, d]: question, answer; in the model's dtype and place
  std::shared_ptr<const TextCosine> cosine;  // null: the grade's cosine clause is off
};

}  // namespace preimage::dcm
