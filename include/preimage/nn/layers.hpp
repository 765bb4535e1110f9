// The pieces of a decoder block over packed sequences: tensors are [tokens, features], sequences
// lie end to end. Each has a plain ATen form, which is the oracle of its kernel.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/linear.hpp"

namespace preimage::nn {

// x / sqrt(mean(x^2) + eps), rounded to the dtype of x, then times weight (Zhang and Sennrich 2019;
// the order of rounding is that of the published checkpoints). x [tokens, d], weight [d].
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);
at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// The same with one rounding, after the weight (gpt-oss).
at::Tensor wide_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

// silu(gate) * up. gate_up [tokens, 2 * inner], gate first -> [tokens, inner].
at::Tensor swiglu(const at::Tensor& gate_up);
at::Tensor plain_swiglu(const at::Tensor& gate_up);

// (up + 1) * gate * sigmoid(alpha * gate), gate at most `limit`, up within -limit .. limit (Agarwal
// et al. 2025, gpt-oss). gate_up [tokens, 2 * inner], gate first -> [tokens, inner].
at::Tensor clamped_swiglu(const at::Tensor& gate_up, double limit, double alpha);

// Rotates the first `rotated_heads` heads of x [tokens, heads * head_dim] (queries, then keys, then
// values as they leave the fused projection) in the "rotate-half" form; the rest is copied. cos and
// sin are [positions, head_dim / 2] float32; positions [tokens] int64 picks their rows.
struct RotaryTable {
  at::Tensor cos, sin;  // [positions, head_dim / 2], float32
};
at::Tensor rotary(const at::Tensor& x, const RotaryTable& table, const at::Tensor& positions,
                  int64_t rotated_heads);

// Mean over weights: loss = sum_r weight[r] * nll[r], nll[r] = -log softmax(hidden[r]
// W^T)[target[r]]. hidden [rows, d]; targets [rows] int64; weights [rows] float32. Logits are
// formed in chunks of rows and never kept: the gradient to hidden (and to W where it is trained) is
// made with them.
struct CrossEntropy {
  at::Tensor loss;    // scalar, float32, differentiable in hidden and W
  at::Tensor nll;     // [rows] float32, nats, no gradient
  at::Tensor greedy;  // [rows] bool: the target is the argmax (the lowest id of a tie)
};
CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const Weight& head,
                                  const at::Tensor& targets, const at::Tensor& weights);

}  // namespace preimage::nn
