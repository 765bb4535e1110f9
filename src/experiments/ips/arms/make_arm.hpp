// The methods by their names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../units.hpp"
#include "arm.hpp"

namespace preimage::ips {

struct Setup;

struct ArmName {
  int64_t target = 0;
  std::string method;
  int64_t seed = 0;
};

// "ga", "random", "propose", "swap", "swap_free", "ppo", "reinforce", "dpo".
std::vector<std::string> arm_methods();
std::unique_ptr<Arm> make_arm(const Setup& setup, const ArmName& name);
// The unit that answers a wish of that search.
run::Unit unit_of(const Setup& setup, const ArmName& name, const Ask& ask);

}  // namespace preimage::ips
