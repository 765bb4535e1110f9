#include "registry.hpp"

namespace preimage::app {

std::unique_ptr<run::Experiment> make_experiment(const std::string& method) {
  for (auto& experiment : all_experiments()) {
    if (experiment->name() == method) return std::move(experiment);
  }
  return nullptr;
}

}  // namespace preimage::app
