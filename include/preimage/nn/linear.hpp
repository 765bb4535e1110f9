// Row-independent matrix products: a row of the result has the same bits whatever other rows stand
// in the batch, and whatever the number of threads.
#pragma once

#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/quantized.hpp"

namespace preimage::nn {

// A matrix [out, in] with an optional bias [out]. On the CPU it is packed for the kernel (in its
// dtype) at first use: once for the product, once for the gradient to the input. Copies share the
// packed forms. A matrix that is trained is packed anew by making a new Weight each step. A narrow
// matrix stays as it is and is decoded in blocks of rows during each product; it is never trained.
class Weight {
 public:
  Weight() = default;
  explicit Weight(at::Tensor matrix, at::Tensor bias = {});
  explicit Weight(NarrowMatrix matrix, at::Tensor bias = {});
  bool defined() const { return state_ != nullptr; }
  bool narrow() const;
  const at::Tensor& matrix() const;                // not of a narrow weight
  const std::vector<NarrowMatrix>& parts() const;  // of a narrow weight, one below the other
  const at::Tensor& bias() const;                  // undefined: none
  int64_t out_features() const;
  int64_t in_features() const;
  int64_t bytes() const;  // packed forms apart
  // The matrix in `dtype`; made anew where the weight is narrow.
  at::Tensor dense(at::ScalarType dtype) const;

  struct State;
  State& state() const { return *state_; }

 private:
  explicit Weight(std::shared_ptr<State> state) : state_(std::move(state)) {}
  friend Weight stacked(const std::vector<Weight>& parts, at::Tensor bias);
  std::shared_ptr<State> state_;
};

// The rows of all parts, one below the other, as one weight. Parts have no bias of their own, and
// are narrow all or none.
Weight stacked(const std::vector<Weight>& parts, at::Tensor bias = {});

// x [rows, in] -> [rows, out], in the dtype of x (which must be the weight's). Differentiable in x,
// and in matrix and bias where they require a gradient.
at::Tensor linear(const at::Tensor& x, const Weight& weight);

// dy [rows, out] -> dy W [rows, in]: the gradient to the input, no graph.
at::Tensor linear_input_gradient(const at::Tensor& dy, const Weight& weight);

// The same product without the kernels: the oracle of the tests.
at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias);

// a [m, k] (any strides) times b [k, n] in float32 on the CPU, each element one chain of fused
// multiply-adds over k.
at::Tensor chained_mm(const at::Tensor& a, const at::Tensor& b);

}  // namespace preimage::nn
