// The arms of the probe: which knobs, what is done to their gradient, and what to the update.
#pragma once

#include <string>
#include <vector>

#include "measure/projection.hpp"

namespace preimage::grpo {

enum class Remedy {
  none,
  update,   // what the optimiser did is projected once more
  moments,  // Adam's first moment is projected too
  sgd,      // momentum in the place of Adam: linear, so nothing leaks
};

struct Arm {
  std::string name;
  std::string basis = "svd";  // or lora
  bool projects = true;
  ProjectionOptions projection;
  Remedy remedy = Remedy::none;
};

// vanilla, projected, projected_lora; with other gates projected_no_gate, projected_reverse,
// projected_overshoot (1.1), projected_preserved; against the leak projected_update,
// projected_moments, projected_sgd; vanilla_lora.
std::vector<std::string> arm_names();
Arm arm_named(const std::string& name);

}  // namespace preimage::grpo
