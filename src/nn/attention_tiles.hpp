// The CPU kernel's view of one sequence and one key/value head.
#pragma once

#include <algorithm>
#include <vector>

#include <ATen/Parallel.h>

#include "cpu/kernels.hpp"
#include "preimage/nn/attention.hpp"

namespace preimage::nn {

// Queries, keys and values in rows of qkv [tokens, heads.width()] from row `first` on.
inline AttentionTile packed_tile(const float* qkv, const HeadLayout& heads, int64_t first,
                                 int64_t length, int64_t kv_head) {
  AttentionTile tile{};
  tile.group = heads.query_heads / heads.kv_heads;
  tile.head_dim = heads.head_dim, tile.value_dim = heads.value_size();
  const float* rows = qkv + first * heads.width();
  tile.q = rows + kv_head * tile.group * tile.head_dim;
  tile.k = rows + (heads.query_heads + kv_head) * tile.head_dim;
  tile.v = rows + (heads.query_heads + heads.kv_heads) * tile.head_dim + kv_head * tile.value_dim;
  tile.q_row = tile.k_row = tile.v_row = heads.width();
  tile.queries = length, tile.first_position = 0;
  tile.window = heads.sliding_window;
  tile.scale = static_cast<float>(heads.scale);
  if (heads.sinks.defined())
    tile.sinks = heads.sinks.const_data_ptr<float>() + kv_head * tile.group;
  return tile;
}

// out [tokens, heads.out_width()]; lse [tokens, query_heads] or null.
inline void set_output(AttentionTile& tile, const HeadLayout& heads, float* out, float* lse,
                       int64_t first, int64_t kv_head) {
  tile.out_row = heads.out_width();
  tile.out = out + first * tile.out_row + kv_head * tile.group * tile.value_dim;
  tile.lse_row = heads.query_heads;
  tile.lse = lse ? lse + first * tile.lse_row + kv_head * tile.group : nullptr;
}

// Calls body(sequence, kv_head, scratch) for all pairs, over the threads. `longest` is the most
// keys of a sequence.
template <class Body>
void for_heads(const HeadLayout& heads, int64_t sequences, int64_t longest, const Body& body) {
  const int64_t group = heads.query_heads / heads.kv_heads;
  const int64_t size =
      attention_scratch(longest, group, std::max(heads.head_dim, heads.value_size()));
  at::parallel_for(0, sequences * heads.kv_heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(static_cast<size_t>(size));
    for (int64_t task = begin; task < end; ++task)
      body(task / heads.kv_heads, task % heads.kv_heads, scratch.data());
  });
}

}  // namespace preimage::nn
