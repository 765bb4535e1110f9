// All that the rest of the program sees of this method.
#pragma once

#include <memory>

#include "preimage/run/experiment.hpp"

namespace preimage::ips {

std::unique_ptr<run::Experiment> make_method();

}  // namespace preimage::ips
