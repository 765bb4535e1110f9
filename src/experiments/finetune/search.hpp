// A fine-tuning as a search of one wave: all ranks train together, then the curve is its one unit.
#pragma once

#include <cstdint>
#include <vector>

#include "config.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"

namespace preimage::finetune {

class FinetuneSearch : public run::Search {
 public:
  FinetuneSearch(run::Context& context, const FinetuneConfig& config)
      : context_(context), config_(config) {}

  std::vector<run::Unit> ask(int64_t wave) override;
  // Trains, all ranks together, to the end or from the state in the folder of this combination, and
  // writes model/ or adapter/ there.
  void prepare(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>&) override {}
  store::Schemas schemas() const override;

 private:
  struct Inputs;
  Inputs load();
  void report(const lm::CurvePoint& point) const;

  run::Context& context_;
  const FinetuneConfig& config_;
  std::vector<lm::CurvePoint> curve_;  // once it is trained
  double bytes_per_token_ = 1;         // of the validation text
};

}  // namespace preimage::finetune
