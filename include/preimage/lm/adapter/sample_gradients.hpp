// The gradient of each sample's loss to all knobs of an adapter, from one batched backward pass.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/adapter/live_adapter.hpp"

namespace preimage::lm {

// L = sum_t weights[t] * -log p(ids[t] | ids before it). weights[0] is not used; tokens of weight 0
// (prompt, padding on the right) are read and predict nothing: those before the first other weight
// and behind the last cost no logits.
struct WeightedSample {
  std::vector<int64_t> ids;
  std::vector<float> weights;  // as many
};

// The mean over the completion: weights 1 / tokens of ids from `prompt_tokens` on. A sequence's
// gradients under other denominators are multiples of this one: with advantage A in a group of G,
// A / G * gradient for the sequence mean, and A / G * tokens / max_new * gradient for Dr.GRPO's
// constant (Liu et al. 2025).
WeightedSample mean_sample(std::vector<int64_t> ids, int64_t prompt_tokens);

struct SampleGradients {
  at::Tensor gradients;  // [samples, adapter.knobs()] float32, in the order of the flat vector
  std::vector<double> losses;  // of each sample
  // Of each sample's tokens 1..: log p(ids[t] | before); NaN where no logits were formed.
  std::vector<std::vector<float>> logp;
};

struct SampleGradientOptions {
  int64_t batch_tokens = 8192;  // neighbours that hold so many go through the model together
  // Called once for each sample, in order, between the forward pass and the backward one, with
  // its log-probabilities (as in `logp`): may change weights that are not zero. For losses whose
  // weights depend on the policy; costs the logits once more.
  std::function<void(size_t sample, std::span<const float> logp, std::vector<float>& weights)>
      reweigh;
};

// At the adapter's present parameters. Samples do not interact, so delta of a row belongs to one
// sample, and dL_b/ds = sum_t (Vh x_t) (U' delta_t) (dL_b/dB = scale sum_t delta_t (A x_t)'): two
// more products a module and a sum over each sample's rows. Float32 sums in token order (on CUDA in
// an order by the sample's own rows): a sample's bits do not depend on the others, so not on
// `batch_tokens` either. Memory: samples * knobs * 4 bytes. A trained A has its gradient from the
// same rows. While all knobs of kind svd are zero the products with them are left out.
SampleGradients sample_gradients(const Model& base, const LiveAdapter& adapter,
                                 const std::vector<WeightedSample>& samples,
                                 const SampleGradientOptions& options = {});

// `logp` as there, of any model: the same bits for the same weights of a model.
std::vector<std::vector<float>> sample_logp(const Model& model,
                                            const std::vector<WeightedSample>& samples,
                                            int64_t batch_tokens = 8192);

}  // namespace preimage::lm
