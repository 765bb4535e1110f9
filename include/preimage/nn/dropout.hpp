// Dropout whose mask is a pure function of a named random stream (Srivastava et al. 2014, inverted:
// what is kept is scaled by 1 / (1 - p)).
#pragma once

#include <ATen/core/Tensor.h>

#include "preimage/base/random.hpp"

namespace preimage::nn {

// p = 0 or no stream: nothing is dropped. The stream must outlive the call.
struct Dropout {
  double p = 0;
  const base::RandomStream* stream = nullptr;
  bool active() const { return p > 0 && stream != nullptr; }
};

// Differentiable. On the CPU element e is dropped by the stream's number e. On CUDA ATen's kernels
// draw from Philox seeded by the stream: the same shape on the same type of GPU gives the same
// mask.
at::Tensor dropout(const at::Tensor& x, const Dropout& options);

// mask[e] = 0 or 1 / (1 - p) by the numbers first, first + 1, ... of the stream.
void dropout_mask(const Dropout& options, uint64_t first, int64_t count, float* mask);

// Seeds the generator that ATen's CUDA kernels draw from; does nothing for the CPU.
void seed_cuda_dropout(const Dropout& options, at::Device device);

}  // namespace preimage::nn
