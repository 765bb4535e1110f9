// A step of the knobs with a gradient that may have been projected, and what of the update runs
// along the directions all the same.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "arm.hpp"
#include "measure/projection.hpp"
#include "preimage/optim/adam.hpp"

namespace preimage::grpo {

struct KnobStepOptions {
  double lr = 0;
  optim::AdamOptions adam;
  double momentum = 0.9;         // of Remedy::sgd
  Remedy remedy = Remedy::none;  // against the leak
  ProjectionOptions projection;  // of the remedies
};

// Order of a step: the caller accumulates and projects the gradient; here it is clipped and stepped
// with (AdamW, or clipped momentum for Remedy::sgd), and remedied.
class KnobOptimiser {
 public:
  // `decay_mask` like the values: 1 where decoupled decay applies, all of them or none.
  KnobOptimiser(const at::Tensor& values, const at::Tensor& decay_mask);

  // Changes `values` [n] in place. Returns the measures of the update: cos_in is the leak.
  Alignment step(at::Tensor& values, const std::vector<float>& gradient,
                 const Directions& directions, const KnobStepOptions& options);

 private:
  void descend(at::Tensor& values, const std::vector<float>& gradient,
               const KnobStepOptions& options);

  at::Tensor decay_mask_;
  bool decays_ = false;
  optim::AdamWState state_;
};

// Float32 values on the CPU, and back to where a tensor is.
std::vector<float> host_copy(const at::Tensor& values);
void assign(at::Tensor& values, const std::vector<float>& from);

}  // namespace preimage::grpo
