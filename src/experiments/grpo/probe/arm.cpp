#include "arm.hpp"

#include <algorithm>

#include "preimage/base/error.hpp"

namespace preimage::grpo {
namespace {

std::vector<Arm> all_arms() {
  return {{.name = "vanilla", .projects = false},
          {.name = "projected"},
          {.name = "projected_lora", .basis = "lora"},
          {.name = "vanilla_lora", .basis = "lora", .projects = false},
          {.name = "projected_no_gate", .projection = {.gate = Gate::no_gate}},
          {.name = "projected_reverse", .projection = {.gate = Gate::reverse}},
          {.name = "projected_overshoot", .projection = {.overshoot = 1.1}},
          {.name = "projected_preserved", .projection = {.preserve_magnitude = true}},
          {.name = "projected_update", .remedy = Remedy::update},
          {.name = "projected_moments", .remedy = Remedy::moments},
          {.name = "projected_sgd", .remedy = Remedy::sgd}};
}

}  // namespace

std::vector<std::string> arm_names() {
  std::vector<std::string> out;
  for (const auto& arm : all_arms()) out.push_back(arm.name);
  return out;
}

Arm arm_named(const std::string& name) {
  const auto arms = all_arms();
  const auto found = std::ranges::find(arms, name, &Arm::name);
  base::check(found != arms.end(), "the config knows the names of arms");
  return *found;
}

}  // namespace preimage::grpo
