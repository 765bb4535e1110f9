// Adam (Kingma and Ba, 2015) over many independent problems in one tensor, and AdamW (Loshchilov
// and Hutter, 2019) over one flat vector of parameters. Every element's update is a fixed sequence
// of IEEE operations: it depends neither on the batch around it nor on the number of threads.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/base/config.hpp"

namespace preimage::optim {

struct AdamOptions {
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  double clip = 1.0;        // gradient norm per problem; 0: no clipping
  double weight_decay = 0;  // AdamW only, decoupled
  void fields(base::Fields& f);
};

// Problems lie end to end as rows: problem p owns the rows [offsets[p], offsets[p + 1]) of values
// [rows, d] float32. Each has its own clip, learning rate and step count.
struct AdamProblems {
  std::vector<int64_t> offsets;  // [problems + 1]
  at::Tensor values;             // [rows, d], updated in place
  at::Tensor first, second;      // moments, like values, updated in place
  std::vector<int64_t> steps;    // [problems] updates made since the moments were zero
};

// One update of every problem. gradient [rows, d] float32; learning_rates [problems]. Returns the
// gradient norms before clipping [problems] (float32, on the CPU). Clipping multiplies the
// problem's gradient by min(1, clip / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_ does.
std::vector<float> adam_step(AdamProblems& problems, const at::Tensor& gradient,
                             const std::vector<double>& learning_rates, const AdamOptions& options);

// The same with ATen operations, one problem after the other: the oracle of the tests.
std::vector<float> plain_adam_step(AdamProblems& problems, const at::Tensor& gradient,
                                   const std::vector<double>& learning_rates,
                                   const AdamOptions& options);

// One AdamW update of a flat vector [n] float32. decay_mask [n] float32 is 1 where weight decay
// applies. The gradient is scaled by min(1, clip / (norm + 1e-6)) of the whole vector. Returns its
// norm.
struct AdamWState {
  at::Tensor first, second;  // [n]
  int64_t steps = 0;
};
float adamw_step(at::Tensor& values, const at::Tensor& gradient, const at::Tensor& decay_mask,
                 AdamWState& state, double learning_rate, const AdamOptions& options);

// Euclidean norm of a float32 vector [n]; partial sums over fixed blocks, so the bits do not depend
// on the number of threads.
double fixed_order_norm(const at::Tensor& flat);

}  // namespace preimage::optim
