// Linear layers with changes of low rank beside a frozen matrix: y = W x + up (gain (down x)).
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/linear.hpp"

namespace preimage::nn {

// The change of the output rows [first_row, first_row + out) of a layer. Two kinds:
// LoRA (Hu et al. 2021): down A [r, in], up B [out, r], scale alpha / r, no gain;
// knobs of a singular value decomposition: down Vh, up U, gain s [r].
struct LowRank {
  int64_t first_row = 0;
  Weight down, up;
  at::Tensor gain;  // [r] float32, or undefined
  bool zero_gain =
      false;  // it holds zeros: of four products, the two that add nothing are left out
  double scale = 1;
  // down and up are float32 and may change in place between two calls: they are packed anew in each
  // product. Otherwise they are constants, perhaps narrower than x.
  bool live = false;
  // Undefined, or zero leaves whose gradients become those of each sample by itself, in float32:
  // [samples, r] to the gain; [samples, out, r] to `up` and [samples, r, in] to `down`.
  at::Tensor gain_of_samples, up_of_samples, down_of_samples;
};

// x [rows, in] -> [rows, out], in the dtype of x: the frozen product, plus the changes computed in
// float32 (between the constants' products in their dtype on CUDA), rounded once more. A row
// depends on itself alone, as in linear(). Differentiable in x, in the gains, in live matrices, and
// for the leaves of samples. The rows of sample i are [samples[i], samples[i + 1]).
at::Tensor adapted_linear(const at::Tensor& x, const Weight& weight,
                          const std::vector<LowRank>& changes,
                          const std::vector<int64_t>& samples = {});

}  // namespace preimage::nn
