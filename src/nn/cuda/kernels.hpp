// Launchers of the CUDA kernels, on the current stream of the tensors' device. bfloat16 and
// float32.
#pragma once

#include <ATen/core/Tensor.h>

namespace preimage::nn {

#ifdef PREIMAGE_CUDA
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

// Shapes and meanings as in cpu_kernels.hpp and nn/layers.hpp.
void cuda_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y,
                   at::Tensor& rstd);
void cuda_rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& rstd, at::Tensor& dx);
void cuda_swiglu(const at::Tensor& gate_up, at::Tensor& out);
void cuda_swiglu_backward(const at::Tensor& d_out, const at::Tensor& gate_up,
                          at::Tensor& d_gate_up);
// direction +1 rotates, -1 rotates back.
void cuda_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                 const at::Tensor& positions, int64_t rotated_heads, float direction,
                 at::Tensor& out);
// logits [rows, vocabulary] become weight * (softmax - onehot) when `gradient`; nll [rows] float32.
void cuda_softmax_nll(at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights,
                      bool gradient, at::Tensor& nll);

}  // namespace preimage::nn
