// All that the rest of the program sees of this method: it finds out how long texts are. The
// smallest that has everything a method has; the example of "A method of your own" in
// src/README.md.
#pragma once

#include <memory>

#include "preimage/run/experiment.hpp"

namespace preimage::echo {

std::unique_ptr<run::Experiment> make_method();

}  // namespace preimage::echo
