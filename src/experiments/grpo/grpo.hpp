// `grpo`: which way a reward pulls in the knobs of a frozen model, and what projecting a direction
// out of the gradient does.
#pragma once

#include "config.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::grpo {

class Grpo : public run::Experiment {
 public:
  std::string name() const override { return "grpo"; }
  std::string description() const override {
    return "which way a reward pulls, and whether a reward hack can be projected out";
  }
  void fields(base::Fields& fields) override { config_.fields(fields); }
  base::ConfigErrors check() override { return config_.check(); }
  std::vector<std::string> identity_files() const override;
  run::Estimate estimate() override;
  bool needs_sandbox() const override { return true; }
  std::unique_ptr<run::Search> make_search(run::Context& context) override;

 private:
  GrpoConfig config_;
};

}  // namespace preimage::grpo
