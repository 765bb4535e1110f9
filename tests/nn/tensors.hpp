// Random tensors and how to compare them, for the tests of this room.
#pragma once

#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include "preimage/base/random.hpp"

namespace preimage::nn {

inline at::Tensor random_tensor(at::IntArrayRef shape, const std::string& name, double scale = 1) {
  const base::RandomStream stream(7, name, "test");
  auto out = at::empty(shape, at::kFloat);
  for (int64_t i = 0; i < out.numel(); ++i)
    out.data_ptr<float>()[i] = static_cast<float>(scale * stream.normal(i));
  return out;
}

inline double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / (b.norm() + 1e-30)).item<double>();
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt));
}

// Gradients of sum(out * direction) with respect to `inputs`.
inline std::vector<at::Tensor> gradients(const at::Tensor& out,
                                         const std::vector<at::Tensor>& inputs) {
  const auto direction = random_tensor(out.sizes(), "direction");
  return torch::autograd::grad({(out * direction).sum()}, inputs);
}

}  // namespace preimage::nn
