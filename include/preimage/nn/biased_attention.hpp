// Attention of packed queries over given spans of keys, with an additive bias by relative position:
// encoders (every token sees its whole sequence), the cross attention of encoder-decoders, and T5's
// causal self-attention over a cache. A row's bits depend on its own queries, keys and bias alone.
// No gradient.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "preimage/nn/attention.hpp"

namespace preimage::nn {

// Which rows of keys and values the queries of one sequence see.
struct KeySpan {
  int64_t begin = 0, count = 0;
};

// For each sequence of packed queries its keys.
struct KeySpans {
  Packing queries;
  std::vector<KeySpan> keys;  // one for each sequence, none of them empty where there are queries
  // The queries are the last tokens of their span, and see it up to themselves.
  bool causal = false;
  at::Tensor keys_device;  // [sequences, 2] int32: begin and count, on the device of the batch
  int64_t most_keys = 0;
};
// Every sequence attends to itself: an encoder.
KeySpans own_spans(const Packing& packing);
KeySpans make_spans(Packing queries, std::vector<KeySpan> keys, bool causal);

// Added to the scaled score of query position i and key position j of a head: table[head, zero + j
// - i]. Positions count from the first key of the span; without `causal` the first query stands at
// 0.
struct RelativeBias {
  at::Tensor table;  // [heads, distances] float32, or undefined: no bias
  int64_t zero = 0;  // column of distance 0
};

// Rows of heads * head_dim each, in one dtype; columns of a fused projection may be passed as
// views.
struct Attended {
  at::Tensor queries;       // [query tokens, heads * head_dim]
  at::Tensor keys, values;  // [key rows, heads * head_dim]
};

struct FullHeads {
  int64_t heads = 0, head_dim = 0;
  double scale = 1;
};

// softmax(scale q k^T + bias) v -> [query tokens, heads * head_dim], in the dtype of the queries.
// The arithmetic is float32.
at::Tensor biased_attention(const Attended& x, const FullHeads& heads, const KeySpans& spans,
                            const RelativeBias& bias);
// The same in plain ATen, sequence by sequence: the oracle of the kernels.
at::Tensor plain_biased_attention(const Attended& x, const FullHeads& heads, const KeySpans& spans,
                                  const RelativeBias& bias);

}  // namespace preimage::nn
