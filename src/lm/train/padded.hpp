// Batches of texts of unequal length as padded rows, for training with plain ATen operations.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

namespace preimage::lm {

struct PaddedIds {
  at::Tensor ids;   // [texts, longest] int64, padded at the end
  at::Tensor real;  // [texts, longest] bool
};
PaddedIds pad_ids(const std::vector<const std::vector<int64_t>*>& texts, int64_t pad,
                  at::Device device);

// softmax(scale q k^T + bias) v over heads; queries [b, tq, h, d], keys and values [b, tk, h, d];
// `bias` broadcasts to [b, h, tq, tk], -infinity where a query does not see a key -> [b, tq, h d].
struct HeadRows {
  at::Tensor queries, keys, values;
};
at::Tensor padded_attention(const HeadRows& rows, double scale, const at::Tensor& bias);

}  // namespace preimage::lm
