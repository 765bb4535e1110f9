// `finetune`: trains a decoder from scratch or goes on from a checkpoint; a thin shell over
// lm::train.
#pragma once

#include "config.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::finetune {

class Finetune : public run::Experiment {
 public:
  std::string name() const override { return "finetune"; }
  std::string description() const override {
    return "train or fine-tune a decoder on text or prompt/completion pairs";
  }
  void fields(base::Fields& fields) override { config_.fields(fields); }
  base::ConfigErrors check() override;
  std::vector<std::string> identity_files() const override;
  run::Estimate estimate() override;
  std::unique_ptr<run::Search> make_search(run::Context& context) override;

 private:
  FinetuneConfig config_;
};

}  // namespace preimage::finetune
