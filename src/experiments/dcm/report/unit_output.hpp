// What a finished unit commits: rows of the tables, its solution, and what the search decides on.
#pragma once

#include <vector>

#include "preimage/store/schema.hpp"
#include "setup.hpp"
#include "unit_runner.hpp"

namespace preimage::dcm {

// In the order of `units`. All decodes run in one batch; a unit's output does not depend on the
// others.
std::vector<store::UnitOutput> unit_outputs(const Setup& setup,
                                            const std::vector<const UnitInFlight*>& units);

// Scalars of a stage "single" unit.
struct SingleSummary {
  bool conv_q = false, conv_a = false;
  bool baseline_q = false, baseline_a = false;  // a baseline alone meets the rule of conv
};
SingleSummary single_summary(const base::Json& scalars);

store::Tensor tensor_of(const at::Tensor& values);  // float32 on the CPU

}  // namespace preimage::dcm
