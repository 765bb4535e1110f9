#include "checkpoint/weight_source.hpp"

#include <ATen/ATen.h>

namespace preimage::lm {

at::Tensor TensorWeights::tensor(const std::string& name, at::IntArrayRef shape) const {
  return source_(name, shape);
}

at::Tensor TensorWeights::wide_tensor(const std::string& name, at::IntArrayRef shape) const {
  return source_(name, shape).to(at::kFloat);
}

nn::Weight TensorWeights::matrix(const std::string& name, int64_t out, int64_t in) const {
  return nn::Weight(source_(name, {out, in}));
}

std::vector<nn::Weight> TensorWeights::expert_matrices(const std::string& name,
                                                       at::IntArrayRef shape,
                                                       const at::Tensor& rows) const {
  std::vector<nn::Weight> weights;
  for (auto& matrix : transposed_experts(source_(name, shape), rows))
    weights.emplace_back(std::move(matrix));
  return weights;
}

std::vector<at::Tensor> transposed_experts(const at::Tensor& all, const at::Tensor& rows) {
  std::vector<at::Tensor> matrices;
  for (int64_t e = 0; e < all.size(0); ++e) {
    const auto matrix = all[e].t();
    matrices.push_back(rows.defined() ? matrix.index_select(0, rows.to(matrix.device()))
                                      : matrix.contiguous());
  }
  return matrices;
}

}  // namespace preimage::lm
