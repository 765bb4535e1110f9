// The next token of each row of logits, chosen on the GPU without sorting the vocabulary.
#pragma once

#include <ATen/core/Tensor.h>

namespace preimage::nn {

// How each row chooses. On the device; read when the kernel runs.
struct TokenChoice {
  // [rows, 3] float32: temperature (0: greedy, the lowest id of a tie), top_k (0: all), log(min_p)
  // (-inf: none), in the order and with the meaning of lm::SamplingOptions.
  at::Tensor rules;
  at::Tensor top_p;     // [rows] float64
  at::Tensor uniforms;  // [rows] float64 in [0, 1): the place in the cumulative distribution by id
};

struct ChosenTokens {
  at::Tensor ids;       // [rows] int64
  at::Tensor logprobs;  // [rows] float32, under the unprocessed logits
  // [rows, 2] int64 and float32, or undefined: the two most probable tokens under the unprocessed
  // logits, of a tie the lowest id first; id -1 where the vocabulary has no second.
  at::Tensor best_ids, best_logprobs;
};

// logits [rows, vocabulary] bfloat16 or float32 on CUDA. Also writes last[slots[row]] = id. Weights
// are counted in fixed point, so a row's choice does not depend on the order of threads.
void choose_tokens(const at::Tensor& logits, const TokenChoice& choice, const at::Tensor& slots,
                   at::Tensor& last, ChosenTokens& out);

}  // namespace preimage::nn
