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

// x + y, and its norm: rms_norm, or wide_rms_norm where `wide`.
struct NormOptions {
  double eps = 0;
  bool wide = false;
};
struct NormedSum {
  at::Tensor sum, normed;
};
NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                       const NormOptions& options);

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

// rms_norm of each head of queries and keys, then rotary. query_weight, key_weight [head_dim];
// qkv [tokens, width] is given up: its memory may hold the result.
struct HeadNorms {
  at::Tensor query_weight, key_weight;
  int64_t query_heads = 0, key_heads = 0;
  double eps = 0;
};
at::Tensor normed_rotary(at::Tensor qkv, const HeadNorms& norms, const RotaryTable& table,
                         const at::Tensor& positions);

// Weighted sum (a mean where the weights add up to 1): loss = sum_r weight[r] * nll[r], nll[r] =
// -log softmax(hidden[r] W^T)[target[r]]. hidden [rows, d]; targets [rows] int64; weights [rows]
// float32. Logits are formed in chunks of rows and never kept: the gradient to hidden (and to W
// where it is trained) is made with them.
struct CrossEntropy {
  at::Tensor loss;    // scalar, float32, differentiable in hidden and W
  at::Tensor nll;     // [rows] float32, nats, no gradient
  at::Tensor greedy;  // [rows] bool: the target is the argmax (the lowest id of a tie)
};
CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const Weight& head,
                                  const at::Tensor& targets, const at::Tensor& weights);

}  // namespace preimage::nn
