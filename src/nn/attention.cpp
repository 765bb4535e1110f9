#include "preimage/nn/attention.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_kernels.hpp"
#include "cuda_attention.hpp"
#include "held.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The kernel's view of one sequence and kv head of a packed batch.
AttentionTile packed_tile(const float* qkv, const HeadLayout& heads, int64_t first, int64_t length,
                          int64_t kv_head) {
  const int64_t group = heads.query_heads / heads.kv_heads;
  const float* rows = qkv + first * heads.width();
  AttentionTile tile{};
  tile.q = rows + kv_head * group * heads.head_dim;
  tile.k = rows + (heads.query_heads + kv_head) * heads.head_dim;
  tile.v = rows + (heads.query_heads + heads.kv_heads + kv_head) * heads.head_dim;
  tile.q_row = tile.kv_row = heads.width();
  tile.queries = length, tile.first_position = 0;
  tile.group = group, tile.head_dim = heads.head_dim;
  tile.scale = static_cast<float>(heads.scale);
  return tile;
}

void set_output(AttentionTile& tile, const HeadLayout& heads, float* out, float* lse, int64_t first,
                int64_t kv_head) {
  tile.out_row = heads.query_heads * heads.head_dim;
  tile.out = out + first * tile.out_row + kv_head * tile.group * heads.head_dim;
  tile.lse_row = heads.query_heads;
  tile.lse = lse ? lse + first * tile.lse_row + kv_head * tile.group : nullptr;
}

// Calls body(sequence, kv_head, scratch) for all pairs, over the threads.
template <class Body>
void for_heads(const HeadLayout& heads, int64_t sequences, int64_t longest, const Body& body) {
  const int64_t group = heads.query_heads / heads.kv_heads;
  at::parallel_for(0, sequences * heads.kv_heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch(
        static_cast<size_t>(attention_scratch(longest, 0, group, heads.head_dim)));
    for (int64_t task = begin; task < end; ++task)
      body(task / heads.kv_heads, task % heads.kv_heads, scratch.data());
  });
}

struct Layout {
  HeadLayout heads;
  Packing packing;
};

class AttentionFunction : public torch::autograd::Function<AttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& qkv, const HeadLayout& heads,
                            const Packing& packing) {
    auto out = at::empty({qkv.size(0), heads.query_heads * heads.head_dim}, qkv.options());
    auto lse = at::empty({qkv.size(0), heads.query_heads}, qkv.options());
    const float* data = qkv.const_data_ptr<float>();
    for_heads(heads, packing.sequences(), packing.longest,
              [&](int64_t s, int64_t head, float* scratch) {
                const int64_t first = packing.offsets[s], length = packing.offsets[s + 1] - first;
                if (length == 0) return;
                auto tile = packed_tile(data, heads, first, length, head);
                set_output(tile, heads, out.data_ptr<float>(), lse.data_ptr<float>(), first, head);
                tile.scratch = scratch;
                cpu_kernels().attention(tile);
              });
    ctx->save_for_backward({qkv, out, lse});
    ctx->saved_data["layout"] = hold(Layout{heads, packing});
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto &qkv = saved[0], &out = saved[1], &lse = saved[2];
    const auto d_out = gradients[0].contiguous();
    const auto& [heads, packing] = held<Layout>(ctx->saved_data["layout"]);
    auto d_qkv = at::empty_like(qkv);
    for_heads(
        heads, packing.sequences(), packing.longest, [&](int64_t s, int64_t head, float* scratch) {
          const int64_t first = packing.offsets[s], length = packing.offsets[s + 1] - first;
          if (length == 0) return;
          AttentionGradTile tile{};
          tile.forward = packed_tile(qkv.const_data_ptr<float>(), heads, first, length, head);
          set_output(tile.forward, heads, out.data_ptr<float>(), lse.data_ptr<float>(), first,
                     head);
          tile.forward.scratch = scratch;
          // The gradients lie where the forward values lie.
          float* grads = d_qkv.data_ptr<float>();
          tile.d_q = grads + (tile.forward.q - qkv.const_data_ptr<float>());
          tile.d_k = grads + (tile.forward.k - qkv.const_data_ptr<float>());
          tile.d_v = grads + (tile.forward.v - qkv.const_data_ptr<float>());
          tile.d_out =
              d_out.const_data_ptr<float>() + (tile.forward.out - out.const_data_ptr<float>());
          cpu_kernels().attention_backward(tile);
        });
    return {d_qkv, {}, {}};
  }
};

// One sequence: q [t, heads, d], k and v [n, kv_heads, d]; query i stands at position n - t + i.
at::Tensor plain_sequence(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                          double scale) {
  const int64_t group = q.size(1) / k.size(1), queries = q.size(0), keys = k.size(0);
  const auto expand = [&](const at::Tensor& x) {
    return x.repeat_interleave(group, 1).transpose(0, 1);
  };
  auto scores = at::matmul(q.transpose(0, 1), expand(k).transpose(1, 2)) * scale;  // [heads, t, n]
  const auto rows = at::arange(keys - queries, keys, q.device()).unsqueeze(1);
  const auto hidden = at::arange(keys, q.device()).unsqueeze(0) > rows;
  scores = scores.masked_fill(hidden, -INFINITY);
  const auto weights = at::softmax(scores, -1, at::kFloat).to(q.scalar_type());
  return at::matmul(weights, expand(v)).transpose(0, 1).reshape({queries, -1});
}

struct Split {
  at::Tensor q, k, v;  // [tokens, heads, head_dim]
};

Split split_heads(const at::Tensor& qkv, const HeadLayout& h) {
  const auto parts = qkv.split_with_sizes(
      {h.query_heads * h.head_dim, h.kv_heads * h.head_dim, h.kv_heads * h.head_dim}, 1);
  return {parts[0].unflatten(1, {h.query_heads, h.head_dim}),
          parts[1].unflatten(1, {h.kv_heads, h.head_dim}),
          parts[2].unflatten(1, {h.kv_heads, h.head_dim})};
}

bool uses_kernel(const at::Tensor& x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat;
}

at::Tensor kernel_cached_attention(const at::Tensor& qkv, const HeadLayout& heads,
                                   const Packing& packing, const LayerCache& cache,
                                   const CachePlaces& places) {
  auto out = at::empty({qkv.size(0), heads.query_heads * heads.head_dim}, qkv.options());
  const int64_t row_size = cache.keys.size(1) * heads.kv_heads * heads.head_dim;
  const int64_t longest =
      *std::max_element(places.lengths.begin(), places.lengths.end()) + packing.longest;
  for_heads(heads, packing.sequences(), longest, [&](int64_t s, int64_t head, float* scratch) {
    const int64_t first = packing.offsets[s];
    auto tile = packed_tile(qkv.const_data_ptr<float>(), heads, first,
                            packing.offsets[s + 1] - first, head);
    tile.first_position = places.lengths[s];
    tile.k = cache.keys.const_data_ptr<float>() + places.rows[s] * row_size + head * heads.head_dim;
    tile.v =
        cache.values.const_data_ptr<float>() + places.rows[s] * row_size + head * heads.head_dim;
    tile.kv_row = heads.kv_heads * heads.head_dim;
    set_output(tile, heads, out.data_ptr<float>(), nullptr, first, head);
    tile.scratch = scratch;
    cpu_kernels().attention(tile);
  });
  return out;
}

at::Tensor plain_cached_attention(const at::Tensor& q, const Packing& packing,
                                  const LayerCache& cache, const CachePlaces& places,
                                  const HeadLayout& heads) {
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t first = packing.offsets[s], fresh = packing.offsets[s + 1] - first;
    const auto seen = [&](const at::Tensor& x) {
      return x[places.rows[s]]
          .narrow(0, 0, places.lengths[s] + fresh)
          .unflatten(1, {heads.kv_heads, heads.head_dim});
    };
    out.push_back(plain_sequence(q.narrow(0, first, fresh), seen(cache.keys), seen(cache.values),
                                 heads.scale));
  }
  return at::cat(out);
}

}  // namespace

Packing make_packing(const std::vector<int64_t>& lengths, at::Device device) {
  Packing packing;
  packing.offsets.push_back(0);
  for (const int64_t length : lengths) {
    packing.offsets.push_back(packing.offsets.back() + length);
    packing.longest = std::max(packing.longest, length);
  }
  packing.offsets_device = at::tensor(packing.offsets, at::kInt).to(device);
  return packing;
}

at::Tensor packed_positions(const Packing& packing, const std::vector<int64_t>& first) {
  std::vector<int64_t> positions;
  positions.reserve(static_cast<size_t>(packing.tokens()));
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    for (int64_t i = 0; i < packing.offsets[s + 1] - packing.offsets[s]; ++i) {
      positions.push_back(i + (first.empty() ? 0 : first[s]));
    }
  }
  return at::tensor(positions, at::kLong).to(packing.offsets_device.device());
}

at::Tensor attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing) {
  base::check(qkv.dim() == 2 && qkv.size(1) == heads.width() && qkv.size(0) == packing.tokens(),
              "attention is given [tokens, queries + keys + values]");
  if (uses_kernel(qkv)) return AttentionFunction::apply(qkv.contiguous(), heads, packing);
  if (cuda_attention_supports(qkv, heads)) return cuda_attention(qkv, heads, packing);
  return plain_attention(qkv, heads, packing);
}

at::Tensor plain_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing) {
  const auto [q, k, v] = split_heads(qkv, heads);
  std::vector<at::Tensor> out;
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t first = packing.offsets[s], length = packing.offsets[s + 1] - first;
    out.push_back(plain_sequence(q.narrow(0, first, length), k.narrow(0, first, length),
                                 v.narrow(0, first, length), heads.scale));
  }
  return at::cat(out);
}

at::Tensor cached_attention(const at::Tensor& qkv, const HeadLayout& heads, const Packing& packing,
                            const LayerCache& cache, const CachePlaces& places) {
  const auto [q, k, v] = split_heads(qkv, heads);
  const int64_t kv_width = heads.kv_heads * heads.head_dim, capacity = cache.keys.size(1);
  std::vector<int64_t> slots;  // row of each new token in the flattened cache
  for (int64_t s = 0; s < packing.sequences(); ++s) {
    const int64_t fresh = packing.offsets[s + 1] - packing.offsets[s];
    base::check(places.lengths[s] + fresh <= capacity, "a sequence fits its row of the cache");
    for (int64_t i = 0; i < fresh; ++i)
      slots.push_back(places.rows[s] * capacity + places.lengths[s] + i);
  }
  const auto index = at::tensor(slots, at::kLong).to(qkv.device());
  cache.keys.view({-1, kv_width}).index_copy_(0, index, k.flatten(1));
  cache.values.view({-1, kv_width}).index_copy_(0, index, v.flatten(1));
  return uses_kernel(qkv) ? kernel_cached_attention(qkv, heads, packing, cache, places)
                          : plain_cached_attention(q, packing, cache, places, heads);
}

}  // namespace preimage::nn
