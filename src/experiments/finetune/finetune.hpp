// `finetune`: trains a decoder from scratch or goes on from a checkpoint; a thin shell over
// lm::train.
#pragma once

#include "preimage/lm/train/train.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::finetune {

struct FinetuneConfig {
  std::string model;  // folder with config.json and tokenizer.json, and weights unless from scratch
  bool from_scratch = false;
  std::string text;  // JSON lines of {"text"} or {"prompt", "completion"}
  std::string validation;
  std::string save_dtype = "bfloat16";
  lm::TrainOptions train;
  void fields(base::Fields& f);
};

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
  void run(run::Context& context) override;

 private:
  FinetuneConfig config_;
};

}  // namespace preimage::finetune
