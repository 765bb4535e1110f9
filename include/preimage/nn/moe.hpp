// Mixtures of experts, row-independent: a token's experts are chosen and summed by the token alone,
// whatever other tokens stand in the batch.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/linear.hpp"

namespace preimage::nn {

// Which experts each token meets, by rising number, and how much each counts.
struct Routing {
  at::Tensor experts;  // [tokens, k] int64
  at::Tensor weights;  // [tokens, k]
};

// The k largest of logits [tokens, experts]; weights are the softmax over those k alone, in the
// dtype of the logits (gpt-oss).
Routing route_softmax(const at::Tensor& logits, int64_t k);

// DeepSeek-AI 2024, "DeepSeek-V3", section 2.1.2. Scores are sigmoid(logits); scores + correction
// decide: the top_groups groups with the largest sum of their two best, and there the k best
// experts. Weights are the scores without the correction.
struct GroupedRouting {
  int64_t k = 1, groups = 1, top_groups = 1;
  bool normalize = true;  // a token's weights sum to `scale`
  double scale = 1;
};
// logits [tokens, experts] and correction [experts] in float32.
Routing route_grouped_sigmoid(const at::Tensor& logits, const at::Tensor& correction,
                              const GroupedRouting& options);

// y[t] = sum over j of weights[t, j] * expert(experts[t, j])(x[t]), j rising, each term and each
// sum rounded to the dtype of x. `expert` maps rows [n, d] of x to [n, d_out], each row on its own.
// Differentiable in x and in the weights.
using Expert = std::function<at::Tensor(int64_t expert, const at::Tensor& rows)>;
at::Tensor mixture(const at::Tensor& x, const Routing& routing, const Expert& expert);

// Experts of two products with an activation of rows between them.
class ExpertLayers {
 public:
  using Activation = std::function<at::Tensor(const at::Tensor& rows)>;
  ExpertLayers() = default;
  // One weight for each expert, all of one shape and kind.
  ExpertLayers(std::vector<Weight> first, std::vector<Weight> second, Activation activation);
  int64_t count() const;
  // The products of one expert.
  at::Tensor of(int64_t expert, const at::Tensor& rows) const;
  // Whether mixture() of rows of this dtype looks at no value on the host: the device groups the
  // rows and takes all experts at once (bfloat16 rows on CUDA, weights in bfloat16 or few bits, no
  // gradient asked for).
  bool on_device(at::ScalarType dtype) const;

  struct State;
  const State& state() const { return *state_; }

 private:
  std::shared_ptr<State> state_;
};
at::Tensor mixture(const at::Tensor& x, const Routing& routing, const ExpertLayers& experts);

}  // namespace preimage::nn
