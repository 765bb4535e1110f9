// Launchers of the CUDA kernels, on the current stream of the tensors' device. bfloat16 and
// float32.
#pragma once

#include <cstdint>
#include <vector>

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
// The same with one rounding, after the weight.
void cuda_wide_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y);
// sum = x + y and its norm, in one kernel; no gradient.
struct AddedNorm {
  const at::Tensor &x, &y, &weight;
  double eps;
  bool wide;
};
bool cuda_add_rms_norm_supports(const at::Tensor& x);
void cuda_add_rms_norm(const AddedNorm& call, at::Tensor& sum, at::Tensor& normed);
// Heads of queries and keys normed and turned, in place in qkv; no gradient.
struct TurnedHeads {
  const at::Tensor &query_weight, &key_weight, &cos, &sin, &positions;
  int64_t query_heads, key_heads;
  double eps;
};
bool cuda_normed_rotary_supports(const at::Tensor& qkv, int64_t head_dim);
void cuda_normed_rotary(const TurnedHeads& call, at::Tensor& qkv);
void cuda_rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& rstd, at::Tensor& dx);
void cuda_swiglu(const at::Tensor& gate_up, at::Tensor& out);
void cuda_swiglu_backward(const at::Tensor& d_out, const at::Tensor& gate_up,
                          at::Tensor& d_gate_up);
void cuda_clamped_swiglu(const at::Tensor& gate_up, double limit, double alpha, at::Tensor& out);
// direction +1 rotates, -1 rotates back.
void cuda_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                 const at::Tensor& positions, int64_t rotated_heads, float direction,
                 at::Tensor& out);
// codes [rows, width] float8_e4m3fn and scales [rows, 1] float32 of x, as of nn::quantize_rows.
void cuda_e4m3_rows(const at::Tensor& x, at::Tensor& codes, at::Tensor& scales);
// logits [rows, vocabulary] become weight * (softmax - onehot) when `gradient`; nll [rows] float32.
void cuda_softmax_nll(at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights,
                      bool gradient, at::Tensor& nll);
// h, u [rows, width] -> out [samples, width] float32: sums over the rows [offsets[i], offsets[i +
// 1]) of h u.
void cuda_sample_products(const at::Tensor& h, const at::Tensor& u,
                          const std::vector<int64_t>& offsets, at::Tensor& out);

}  // namespace preimage::nn
