#include "plain_attention.hpp"

#include <cmath>

#include <ATen/ATen.h>

namespace preimage::nn {

Heads split_heads(const at::Tensor& qkv, const HeadLayout& h) {
  const auto parts = qkv.split_with_sizes(
      {h.query_heads * h.head_dim, h.kv_heads * h.head_dim, h.kv_heads * h.value_size()}, 1);
  return {parts[0].unflatten(1, {h.query_heads, h.head_dim}),
          parts[1].unflatten(1, {h.kv_heads, h.head_dim}),
          parts[2].unflatten(1, {h.kv_heads, h.value_size()})};
}

at::Tensor plain_sequence(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          const HeadLayout& heads) {
  const int64_t group = heads.query_heads / heads.kv_heads;
  const int64_t queries = q.size(0), keys = k.size(0);
  const auto expand = [&](const at::Tensor& x) {
    return x.repeat_interleave(group, 1).transpose(0, 1);
  };
  auto scores = at::matmul(q.transpose(0, 1), expand(k).transpose(1, 2)) * heads.scale;
  const auto row = at::arange(keys - queries, keys, q.device()).unsqueeze(1);
  const auto key = at::arange(keys, q.device()).unsqueeze(0);
  auto unseen = key > row;
  if (heads.sliding_window > 0) unseen = unseen.logical_or(key <= row - heads.sliding_window);
  scores = scores.masked_fill(unseen, -INFINITY);  // [heads, t, n]
  if (heads.sinks.defined()) {
    const auto sinks = heads.sinks.to(scores.scalar_type()).view({-1, 1, 1});
    scores = at::cat({scores, sinks.expand({heads.query_heads, queries, 1})}, 2);
  }
  const auto weights = at::softmax(scores, -1, at::kFloat).to(q.scalar_type()).narrow(2, 0, keys);
  return at::matmul(weights, expand(v)).transpose(0, 1).reshape({queries, -1});
}

at::Tensor plain_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing) {
  const auto [q, k, v] = split_heads(qkv, heads);
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t first = packing.offsets[s], length = packing.offsets[s + 1] - first;
    out.push_back(plain_sequence(q.narrow(0, first, length), k.narrow(0, first, length),
                                 v.narrow(0, first, length), heads));
  }
  return at::cat(out);
}

}  // namespace preimage::nn
