#include "preimage/base/str.hpp"
#include "registry.hpp"

namespace preimage::app {

std::unique_ptr<run::Experiment> make_experiment(const std::string& method) {
  for (auto& experiment : all_experiments()) {
    if (experiment->name() == method) return std::move(experiment);
  }
  return nullptr;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const auto& experiment : all_experiments()) names.push_back(experiment->name());
  return names;
}

std::string unknown_method(const std::string& name) {
  const auto names = method_names();
  const auto near = base::nearest(name, names);
  return "unknown method \"" + name + "\"" +
         (near.empty() ? "" : " (did you mean \"" + near + "\"?)") +
         "; there are: " + base::join(names, " ");
}

}  // namespace preimage::app
