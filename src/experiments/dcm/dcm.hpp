// `dcm`: K soft vectors from which both a question and its answer can be read.
#pragma once

#include "config.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::dcm {

class Dcm : public run::Experiment {
 public:
  std::string name() const override { return "dcm"; }
  std::string description() const override {
    return "K soft vectors from which a question and its answer can both be read";
  }
  void fields(base::Fields& fields) override { config_.fields(fields); }
  base::ConfigErrors check() override;
  std::vector<std::string> identity_files() const override;
  run::Estimate estimate() override;
  std::unique_ptr<run::Search> make_search(run::Context& context) override;

 private:
  DcmConfig config_;
};

}  // namespace preimage::dcm
