// What a run of lipo is made of before its first unit.
#pragma once

#include <optional>
#include <vector>

#include "config.hpp"
#include "inverter.hpp"
#include "preimage/eval/evaluation.hpp"
#include "preimage/eval/text_model.hpp"
#include "task/ape.hpp"
#include "task/instructions.hpp"
#include "task/items.hpp"

namespace preimage::lipo {

struct Setup {
  LipoConfig config;
  uint64_t seed = 0;
  Items items;
  eval::TextModel model;
  eval::ModelIdentity identity;
  std::optional<eval::TextModel> writer;  // another checkpoint that writes instructions
  std::optional<ApeWords> words;          // where a model writes them
  InstructionFile written;                // where a file holds them
  std::vector<KnownError> known;          // modes skip_hyperband and grid
  TextInverter inverter;
};

}  // namespace preimage::lipo
