// `lipo`: the instruction that scores best on a task, searched in a latent space of sentences and
// brought back to words.
#pragma once

#include "config.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::lipo {

class Lipo : public run::Experiment {
 public:
  std::string name() const override { return "lipo"; }
  std::string description() const override {
    return "search the instruction that scores best on a task, in a latent space of sentences";
  }
  void fields(base::Fields& fields) override { config_.fields(fields); }
  base::ConfigErrors check() override { return config_.check(); }
  std::vector<std::string> identity_files() const override;
  run::Estimate estimate() override;
  std::unique_ptr<run::Search> make_search(run::Context& context) override;

 private:
  LipoConfig config_;
};

}  // namespace preimage::lipo
