// The training of a sentence encoder or of its inverter as a search of one wave, as FinetuneSearch
// is for decoders.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "config.hpp"
#include "preimage/run/context.hpp"
#include "preimage/run/search.hpp"

namespace preimage::finetune {

class SentenceSearch : public run::Search {
 public:
  SentenceSearch(run::Context& context, const FinetuneConfig& config)
      : context_(context), config_(config) {}

  std::vector<run::Unit> ask(int64_t wave) override;
  // Trains, all ranks together, to the end or from the state in the folder of this combination, and
  // writes model/ there.
  void prepare(int64_t wave) override;
  void evaluate(run::Work& work) override;
  void tell(const std::vector<run::Told>&) override {}
  store::Schemas schemas() const override;

 private:
  std::unique_ptr<lm::SentenceTask> load() const;
  void report(const lm::CurvePoint& point) const;

  run::Context& context_;
  const FinetuneConfig& config_;
  std::vector<lm::CurvePoint> curve_;  // once it is trained
};

// The configs of an inverter's T5, which lie below its folder.
std::vector<std::string> inverter_files(const std::string& folder);

}  // namespace preimage::finetune
