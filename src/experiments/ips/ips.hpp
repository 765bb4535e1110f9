// `ips`: inverse prompt search, for the short instruction that makes a frozen model write exactly a
// given program.
#pragma once

#include "config.hpp"
#include "preimage/run/experiment.hpp"

namespace preimage::ips {

class Ips : public run::Experiment {
 public:
  std::string name() const override { return "ips"; }
  std::string description() const override {
    return "short instructions that make a frozen model write exactly a given program";
  }
  void fields(base::Fields& fields) override { config_.fields(fields); }
  base::ConfigErrors check() override { return config_.check(); }
  std::vector<std::string> identity_files() const override;
  run::Estimate estimate() override;
  bool needs_sandbox() const override { return true; }
  std::unique_ptr<run::Search> make_search(run::Context& context) override;

 private:
  IpsConfig config_;
};

}  // namespace preimage::ips
