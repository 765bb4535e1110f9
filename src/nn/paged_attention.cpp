#include "preimage/nn/paged_attention.hpp"

#include <algorithm>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "attention_tiles.hpp"
#include "cuda/attention.hpp"
#include "cuda/float_attention.hpp"
#include "cuda/kernels.hpp"
#include "cuda/paged.hpp"
#include "plain_attention.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

static_assert(kPageTokens == kKeyBlock);

at::ScalarType cache_dtype(at::ScalarType model, at::Device device) {
  return device.is_cpu() ? at::kFloat : model;
}

at::Tensor kernel_attention(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                            const PagedAttention& context) {
  const auto& fresh = context.fresh();
  auto out = at::empty({qkv.size(0), heads.out_width()}, qkv.options());
  const auto body = [&](int64_t s, int64_t head, float* scratch) {
    const auto& sequence = context.sequences()[static_cast<size_t>(s)];
    if (sequence.fresh == 0) return;
    const int64_t first = fresh.offsets[static_cast<size_t>(s)];
    auto tile = packed_tile(qkv.const_data_ptr<float>(), heads, first, sequence.fresh, head);
    tile.first_position = sequence.cached;
    tile.pages = sequence.pages.data();
    tile.k = cache.keys.const_data_ptr<float>() + head * heads.head_dim * kPageTokens;
    tile.v = cache.values.const_data_ptr<float>() + head * heads.value_size();
    tile.k_page = cache.keys.stride(0), tile.v_row = cache.values.size(2);
    set_output(tile, heads, out.data_ptr<float>(), nullptr, first, head);
    tile.scratch = scratch;
    cpu_kernels().attention(tile);
  };
  for_heads(heads, fresh.sequences(), context.position_limit(), body);
  return out;
}

// Writes the fresh keys and values of float32 rows into their pages: keys by feature.
void append_by_feature(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                       const at::Tensor& slots) {
  const int64_t key_width = cache.keys.size(1), value_width = cache.values.size(2);
  const float* rows = qkv.const_data_ptr<float>() + heads.query_heads * heads.head_dim;
  const int64_t* slot = slots.const_data_ptr<int64_t>();
  float *keys = cache.keys.data_ptr<float>(), *values = cache.values.data_ptr<float>();
  at::parallel_for(0, qkv.size(0), kPageTokens, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const float* row = rows + token * heads.width();
      float* key =
          keys + slot[token] / kPageTokens * key_width * kPageTokens + slot[token] % kPageTokens;
      for (int64_t d = 0; d < key_width; ++d) key[d * kPageTokens] = row[d];
      std::copy_n(row + key_width, value_width, values + slot[token] * value_width);
    }
  });
}

at::Tensor plain_paged_attention(const at::Tensor& qkv, const HeadLayout& heads,
                                 const LayerCache& cache, const PagedAttention& context) {
  const auto q = split_heads(qkv, heads).q;
  std::vector<at::Tensor> out;
  for (size_t s = 0; s < context.sequences().size(); ++s) {
    const auto& sequence = context.sequences()[s];
    const auto pages = at::tensor(sequence.pages, at::kInt).to(qkv.device());
    const auto seen = [&](const at::Tensor& x, int64_t size) {
      return x.index_select(0, pages)
          .flatten(0, 1)
          .narrow(0, 0, sequence.cached + sequence.fresh)
          .unflatten(1, {heads.kv_heads, size});
    };
    out.push_back(plain_sequence(q.narrow(0, context.fresh().offsets[s], sequence.fresh),
                                 seen(cache.keys, heads.head_dim),
                                 seen(cache.values, heads.value_size()), heads));
  }
  return at::cat(out);
}

// Appends and attends; the keys of sequences that go on lie in pages, so they are gathered first.
at::Tensor cuda_paged_attention(const at::Tensor& qkv, const HeadLayout& heads,
                                const LayerCache& cache, const PagedAttention& context) {
  const bool full = qkv.scalar_type() == at::kFloat;
  if constexpr (kHasCuda) {
    (full ? cuda_float_append : cuda_append)(qkv.contiguous(), heads, cache, context.slots());
  }
  if (!context.continues()) return attention(qkv, heads, context.fresh());
  const auto q = split_heads(qkv, heads).q;
  const auto seen = [&](const at::Tensor& x, int64_t size) {
    return x.flatten(0, 1)
        .index_select(0, context.key_slots())
        .unflatten(1, {heads.kv_heads, size});
  };
  const auto k = seen(cache.keys, heads.head_dim), v = seen(cache.values, heads.value_size());
  const PrefixQuery query{q, k, v, context.fresh(), context.keys()};
  if constexpr (kHasCuda) {
    if (full) return cuda_float_prefix_attention(query, heads);
  }
  return cuda_prefix_attention(query, heads);
}

// Whether kernels read the rows of this layer on CUDA.
bool cuda_reads(const at::Tensor& qkv, const HeadLayout& heads) {
  if constexpr (kHasCuda) {
    if (qkv.is_cuda() && cuda_float_attention_supports(qkv.scalar_type(), heads)) return true;
    return qkv.scalar_type() == at::kBFloat16 && cuda_attention_supports(qkv, heads);
  }
  return false;
}

}  // namespace

int64_t page_bytes(const std::vector<HeadLayout>& layers, at::ScalarType dtype, at::Device device) {
  int64_t numbers = 0;
  for (const auto& heads : layers)
    numbers += heads.kv_heads * (heads.head_dim + heads.value_size());
  return numbers * kPageTokens * static_cast<int64_t>(c10::elementSize(cache_dtype(dtype, device)));
}

KvCache make_kv_cache(const std::vector<HeadLayout>& layers, int64_t pages, at::ScalarType dtype,
                      at::Device device) {
  KvCache cache{{}, pages};
  const auto options = at::device(device).dtype(cache_dtype(dtype, device));
  for (const auto& heads : layers) {
    const int64_t width = heads.kv_heads * heads.head_dim;
    cache.layers.push_back(
        {device.is_cpu() ? at::empty({pages, width, kPageTokens}, options)
                         : at::empty({pages, kPageTokens, width}, options),
         at::empty({pages, kPageTokens, heads.kv_heads * heads.value_size()}, options)});
  }
  return cache;
}

PagedAttention::PagedAttention(const KvCache& cache, std::vector<PagedSequence> sequences,
                               at::Device device)
    : cache_(cache), sequences_(std::move(sequences)) {
  std::vector<int64_t> lengths, ends, positions, slots, key_slots;
  const auto slot_of = [](const PagedSequence& s, int64_t t) {
    return s.pages[static_cast<size_t>(t / kPageTokens)] * kPageTokens + t % kPageTokens;
  };
  for (const auto& sequence : sequences_) {
    const int64_t end = sequence.cached + sequence.fresh;
    base::check(end <= static_cast<int64_t>(sequence.pages.size()) * kPageTokens,
                "a sequence has pages for its cached and fresh tokens");
    for (int64_t t = sequence.cached; t < end; ++t) {
      positions.push_back(t);
      slots.push_back(slot_of(sequence, t));
    }
    lengths.push_back(sequence.fresh);
    ends.push_back(end);
    continues_ |= sequence.cached > 0;
    position_limit_ = std::max(position_limit_, end);
  }
  fresh_ = make_packing(lengths, device);
  if (device.is_cuda() && continues_) {
    for (const auto& sequence : sequences_) {
      for (int64_t t = 0; t < sequence.cached + sequence.fresh; ++t)
        key_slots.push_back(slot_of(sequence, t));
    }
    keys_ = make_packing(ends, device);
    key_slots_ = at::tensor(key_slots, at::kLong).to(device);
  }
  positions_ = at::tensor(positions, at::kLong).to(device);
  slots_ = at::tensor(slots, at::kLong).to(device);
}

void PagedAttention::append(const LayerCache& cache, const at::Tensor& qkv,
                            const HeadLayout& heads) const {
  const auto [q, k, v] = split_heads(qkv, heads);
  cache.keys.flatten(0, 1).index_copy_(0, slots_, k.flatten(1).to(cache.keys.scalar_type()));
  cache.values.flatten(0, 1).index_copy_(0, slots_, v.flatten(1).to(cache.values.scalar_type()));
}

at::Tensor PagedAttention::attend(int64_t layer, const at::Tensor& qkv,
                                  const HeadLayout& heads) const {
  const at::NoGradGuard no_grad;
  const auto& cache = cache_.layers[static_cast<size_t>(layer)];
  if (cuda_reads(qkv, heads)) return cuda_paged_attention(qkv, heads, cache, *this);
  if (qkv.is_cpu()) {
    const auto wide = qkv.to(at::kFloat).contiguous();
    append_by_feature(wide, heads, cache, slots_);
    return kernel_attention(wide, heads, cache, *this).to(qkv.scalar_type());
  }
  append(cache, qkv, heads);
  return plain_paged_attention(qkv, heads, cache, *this);
}

}  // namespace preimage::nn
