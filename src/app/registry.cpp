#include "registry.hpp"

#include "../experiments/dcm/dcm.hpp"
#include "../experiments/finetune/finetune.hpp"
#include "../experiments/verifier/verifier.hpp"

namespace preimage::app {

std::vector<std::unique_ptr<run::Experiment>> all_experiments() {
  std::vector<std::unique_ptr<run::Experiment>> list;
  list.push_back(std::make_unique<dcm::Dcm>());
  list.push_back(std::make_unique<experiments::Finetune>());
  list.push_back(std::make_unique<verifier::Verifier>());
  return list;
}

std::unique_ptr<run::Experiment> make_experiment(const std::string& method) {
  for (auto& experiment : all_experiments()) {
    if (experiment->name() == method) return std::move(experiment);
  }
  return nullptr;
}

}  // namespace preimage::app
