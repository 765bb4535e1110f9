// The activations of encoders. On the CPU an element's bits do not depend on where it stands:
// ATen's own forms compute the last elements of a chunk by another formula.
#pragma once

#include <ATen/core/Tensor.h>

namespace preimage::nn {

// x Phi(x), the exact (erf) form of Hendrycks and Gimpel 2016. Differentiable.
at::Tensor gelu(const at::Tensor& x);

// gelu(gate) * up in the tanh form of GELU (T5 v1.1: Shazeer 2020). gate_up [tokens, 2 * inner],
// gate first -> [tokens, inner]. No gradient.
at::Tensor gated_gelu(const at::Tensor& gate_up);

}  // namespace preimage::nn
