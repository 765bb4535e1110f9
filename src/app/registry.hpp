// The one place that lists what preimage can do. A new method is one line here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "preimage/run/experiment.hpp"

namespace preimage::app {

// All methods, in the order that `preimage methods` prints.
std::vector<std::unique_ptr<run::Experiment>> all_experiments();
std::vector<std::string> method_names();
// What to say of a name that none has: with the nearest, or with all.
std::string unknown_method(const std::string& name);
// Null for an unknown name.
std::unique_ptr<run::Experiment> make_experiment(const std::string& method);

}  // namespace preimage::app
