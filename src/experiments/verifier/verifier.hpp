// `verifier`: an energy model, trained on which programs passed their tests, that picks one of many
// candidate programs.
#pragma once

#include "config.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::verifier {

class Verifier : public run::Experiment {
 public:
  std::string name() const override { return "verifier"; }
  std::string description() const override {
    return "an energy model that picks the candidate program that will pass its tests";
  }
  void fields(base::Fields& fields) override { config_.fields(fields); }
  base::ConfigErrors check() override { return config_.check(); }
  std::vector<std::string> identity_files() const override;
  run::Estimate estimate() override;
  bool needs_sandbox() const override { return true; }
  std::unique_ptr<run::Search> make_search(run::Context& context) override;

 private:
  VerifierConfig config_;
};

}  // namespace preimage::verifier
