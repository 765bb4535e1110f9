// A part of a decoder's layers, for methods that compute the frozen ones once and train the rest.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"
#include "preimage/nn/attention.hpp"

namespace preimage::lm {

struct LayerRange {
  int64_t begin = 0, end = 0;  // the end excluded
};

// States [tokens, d] before layer `begin` (embeddings before layer 0) -> those behind layer
// `end - 1`, without the final norm. `context` is asked by the layers' numbers in the whole model.
// Differentiable as Model::hidden is: hidden = final_norm(through_layers(x, context, {0, layers})).
at::Tensor through_layers(const Model& model, const at::Tensor& x,
                          const nn::AttentionContext& context, LayerRange range);
at::Tensor final_norm(const Model& model, const at::Tensor& x);

}  // namespace preimage::lm
