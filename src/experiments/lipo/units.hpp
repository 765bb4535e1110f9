// What the units of a search commit beside rows, and reading it back.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "arms/arm.hpp"
#include "ladder.hpp"
#include "preimage/base/json.hpp"
#include "preimage/bo/gaussian_process.hpp"
#include "preimage/store/schema.hpp"
#include "report/rows.hpp"

namespace preimage::lipo {

// A tensor of any shape as an item of a dataset, and back; float32 and float64.
store::Tensor stored(const at::Tensor& tensor);
at::Tensor loaded(const store::Tensor& tensor);

// Which process a fit is of.
struct FitName {
  std::string arm;
  int64_t seed = 0, number = 0, items = 0;
};
// A row of lipo/gp with its tensors.
void add_fit(store::UnitOutput& out, const bo::GpModel& model, const FitName& name);

base::Json to_json(const std::vector<Ladder::Proposed>& proposed);
std::vector<Ladder::Proposed> proposed_of(const base::Json& scalars);

// A step in scalars and tensors; tensors that it has not are rows of NaN.
void add_step(store::UnitOutput& out, const ArmStep& step, const ArmGround& ground);
ArmStep step_of(const base::Json& scalars, const store::UnitOutput& output);
// The columns that a step knows before it is evaluated.
IterationRow iteration_row(const ArmStep& step);

}  // namespace preimage::lipo
