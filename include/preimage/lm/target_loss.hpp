// Teacher-forced loss of targets behind prompts, and its gradient to the prompts: what a search
// over prompts descends.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/lm/model.hpp"
#include "preimage/lm/score.hpp"

namespace preimage::lm {

struct TargetLoss {
  std::vector<float> nll;  // nats, one for each target token
  double mean = 0;         // -(1/n) sum log p(b_t | prompt, b_<t), summed in order in double
  double sum = 0;
  bool greedy = false;  // each target token is the argmax: greedy decoding writes the target
  // [prompt tokens, d] float32 on the model's device, rows of `embeddings` first: d mean / d
  // embedding of each token of the prompt. Undefined unless it was asked for.
  at::Tensor gradient;
};

struct TargetLossOptions {
  int64_t batch_tokens = 4096;  // tokens put through the model at once
  bool gradient = false;
};

// The continuation of each request is its target, the end-of-text token among it where it is to be
// counted; embeddings come before ids (a prompt wholly of embeddings has no ids). In the order of
// the requests; a request's bits depend neither on the others nor on `batch_tokens`. Logits are
// formed for the rows that predict a target token and for no other. The refusals of score(). With
// `gradient` the activations of a batch are kept for its backward pass.
std::vector<TargetLoss> target_loss(const Model& model, const std::vector<ScoreRequest>& requests,
                                    const TargetLossOptions& options);

// Gradient to the one-hot form of tokens: rows of d loss / d embedding times the embedding table
// (Ebrahimi et al., ACL 2018). gradient [n, d] -> [n, V] float32.
at::Tensor one_hot_gradient(const Model& model, const at::Tensor& gradient);

struct SwapOptions {
  int64_t top = 256;   // tokens for each place
  at::Tensor allowed;  // [V] bool: tokens that may stand there; undefined: all
};

// For each row of a gradient the `top` allowed tokens whose one-hot gradient is smallest, best
// first, the lower id of equal ones first: the candidates of greedy coordinate gradient (Zou et
// al. 2023). -> [n, min(top, allowed)] int64 on the CPU.
at::Tensor swap_candidates(const Model& model, const at::Tensor& gradient,
                           const SwapOptions& options);

}  // namespace preimage::lm
