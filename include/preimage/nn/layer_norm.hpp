// Layer normalisation that is trained (Ba, Kiros and Hinton 2016).
#pragma once

#include <ATen/core/Tensor.h>

namespace preimage::nn {

// (x - mean) / sqrt(variance + eps) * weight + bias over the last axis. x [tokens, d]; weight and
// bias [d]. Differentiable in all three; on the CPU the gradients of weight and bias are one chain
// over the rows, so their bits do not depend on the number of threads.
at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps);

}  // namespace preimage::nn
