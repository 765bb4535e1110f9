// A warp takes one query head of one token, or, for the gradients of keys and values, one key head
// of one token: for scores a lane takes a key (or a query), for sums over keys 32nd parts of the
// features. Simple, and fast enough for the small models that are run in float32.
#include "cuda/float_attention.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

constexpr int kWarp = 32;
constexpr int kWarps = 8;  // of a block; each on its own
constexpr int kPage = static_cast<int>(kPageTokens);
constexpr int64_t kMostSize = 256;

// Rows of numbers with a stride.
struct Rows {
  const float* data;
  int64_t stride;
  __device__ const float* row(int64_t i) const { return data + i * stride; }
};

struct Arguments {
  Rows q, k, v;
  // Packed: sequence s holds the queries from offsets[s] and the keys from key_offsets[s] on, and
  // its last query stands at its last key. Paged (offsets null): each query is a sequence.
  const int32_t *offsets, *key_offsets;
  int sequences;
  const int64_t* positions;
  const int32_t* pages;
  int64_t most_pages;
  const float* sinks;  // [query_heads] or null
  float* out;          // [tokens, query_heads * value_size]
  float* lse;          // [tokens, query_heads] or null
  int64_t tokens;
  int query_heads, group, size, value_size, window;
  float scale;
};

// The sequence that a token of the packed batch belongs to.
__device__ inline int sequence_of(const int32_t* offsets, int sequences, int64_t token) {
  int low = 0, high = sequences;  // offsets[low] <= token < offsets[high]
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (offsets[middle] <= token) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// Where the keys of a query lie.
struct Place {
  int position;
  int64_t first_key;     // packed
  const int32_t* pages;  // or null
  __device__ int64_t key(int i) const {
    return pages ? static_cast<int64_t>(pages[i / kPage]) * kPage + i % kPage : first_key + i;
  }
};
__device__ inline Place place_of(const Arguments& a, int64_t token) {
  if (!a.offsets) return {static_cast<int>(a.positions[token]), 0, a.pages + token * a.most_pages};
  const int s = sequence_of(a.offsets, a.sequences, token);
  const int queries = a.offsets[s + 1] - a.offsets[s];
  const int keys = a.key_offsets[s + 1] - a.key_offsets[s];
  return {keys - queries + static_cast<int>(token - a.offsets[s]), a.key_offsets[s], nullptr};
}

__device__ inline float warp_max(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
  return x;
}
__device__ inline float warp_sum(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}

// One chain; `x` is the same for all lanes.
__device__ inline float dot(const float* x, const float* y, int size) {
  float sum = 0;
#pragma unroll 8
  for (int d = 0; d < size; ++d) sum = fmaf(x[d], y[d], sum);
  return sum;
}

// PARTS: 32nd parts of the larger size, rounded up.
template <int PARTS>
__global__ void __launch_bounds__(kWarp* kWarps) forward_kernel(Arguments a) {
  const int64_t task = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (task >= a.tokens * a.query_heads) return;
  const int lane = threadIdx.x % kWarp;
  const int64_t token = task / a.query_heads;
  const int head = static_cast<int>(task % a.query_heads), kv = head / a.group;
  const Place at = place_of(a, token);
  const float* q = a.q.row(token) + head * a.size;
  const int end = at.position + 1, low = a.window > 0 ? max(0, end - a.window) : 0;
  float top = -INFINITY, sum = 0, out[PARTS] = {};
  for (int block = low / kWarp * kWarp; block < end; block += kWarp) {
    const int key = block + lane;
    const bool seen = key >= low && key < end;
    const int64_t row = at.key(seen ? key : at.position);
    const float score = seen ? dot(q, a.k.row(row) + kv * a.size, a.size) * a.scale : -INFINITY;
    const float best = fmaxf(top, warp_max(score));
    const float weight = seen ? expf(score - best) : 0.0f, shrink = expf(top - best);
    sum = sum * shrink + warp_sum(weight);
#pragma unroll
    for (int p = 0; p < PARTS; ++p) out[p] *= shrink;
    for (int t = max(0, low - block); t < min(kWarp, end - block); ++t) {
      const float share = __shfl_sync(~0u, weight, t);
      const float* value = a.v.row(__shfl_sync(~0u, row, t)) + kv * a.value_size;
#pragma unroll
      for (int p = 0; p < PARTS; ++p) {
        if (p * kWarp + lane < a.value_size) out[p] = fmaf(share, value[p * kWarp + lane], out[p]);
      }
    }
    top = best;
  }
  if (a.sinks) {
    const float joined = fmaxf(top, a.sinks[head]), shrink = expf(top - joined);
    sum = sum * shrink + expf(a.sinks[head] - joined), top = joined;
#pragma unroll
    for (int p = 0; p < PARTS; ++p) out[p] *= shrink;
  }
  float* to = a.out + task * a.value_size;
#pragma unroll
  for (int p = 0; p < PARTS; ++p) {
    if (p * kWarp + lane < a.value_size) to[p * kWarp + lane] = out[p] / sum;
  }
  if (a.lse && lane == 0) a.lse[task] = top + logf(sum);
}

// ---- gradients, of packed sequences alone -------------------------------------------------------

struct Gradients {
  Arguments forward;       // out and lse are read
  const float* d_out;      // [tokens, query_heads * value_size]
  float* dots;             // [tokens, query_heads]: d_out . out
  float *d_q, *d_k, *d_v;  // as q, k and v lie
};

// ds = p (dp - d_out . out) scale; dq = sum of ds k, over rising keys.
template <int PARTS>
__global__ void __launch_bounds__(kWarp* kWarps) query_gradient_kernel(Gradients g) {
  const Arguments& a = g.forward;
  const int64_t task = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (task >= a.tokens * a.query_heads) return;
  const int lane = threadIdx.x % kWarp;
  const int64_t token = task / a.query_heads;
  const int head = static_cast<int>(task % a.query_heads), kv = head / a.group;
  const Place at = place_of(a, token);
  const float* q = a.q.row(token) + head * a.size;
  const float *out = a.out + task * a.value_size, *d_out = g.d_out + task * a.value_size;
  float part = 0;
  for (int d = lane; d < a.value_size; d += kWarp) part = fmaf(out[d], d_out[d], part);
  const float dots = warp_sum(part), lse = a.lse[task];
  if (lane == 0) g.dots[task] = dots;
  const int end = at.position + 1, low = a.window > 0 ? max(0, end - a.window) : 0;
  float sum[PARTS] = {};
  for (int block = low / kWarp * kWarp; block < end; block += kWarp) {
    const int key = block + lane;
    const bool seen = key >= low && key < end;
    const int64_t row = at.key(seen ? key : at.position);
    float slope = 0;
    if (seen) {
      const float p = expf(dot(q, a.k.row(row) + kv * a.size, a.size) * a.scale - lse);
      const float dp = dot(d_out, a.v.row(row) + kv * a.value_size, a.value_size);
      slope = p * (dp - dots) * a.scale;
    }
    for (int t = max(0, low - block); t < min(kWarp, end - block); ++t) {
      const float share = __shfl_sync(~0u, slope, t);
      const float* k = a.k.row(__shfl_sync(~0u, row, t)) + kv * a.size;
#pragma unroll
      for (int p = 0; p < PARTS; ++p) {
        if (p * kWarp + lane < a.size) sum[p] = fmaf(share, k[p * kWarp + lane], sum[p]);
      }
    }
  }
  float* to = g.d_q + token * a.q.stride + head * a.size;
#pragma unroll
  for (int p = 0; p < PARTS; ++p) {
    if (p * kWarp + lane < a.size) to[p * kWarp + lane] = sum[p];
  }
}

// dk = sum of ds q, dv = sum of p d_out: over the heads of the group, and in each over rising
// queries.
template <int PARTS>
__global__ void __launch_bounds__(kWarp* kWarps) key_gradient_kernel(Gradients g) {
  const Arguments& a = g.forward;
  const int kv_heads = a.query_heads / a.group;
  const int64_t task = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (task >= a.tokens * kv_heads) return;
  const int lane = threadIdx.x % kWarp;
  const int64_t token = task / kv_heads;
  const int kv = static_cast<int>(task % kv_heads);
  const int s = sequence_of(a.offsets, a.sequences, token);
  const int first = a.offsets[s], length = a.offsets[s + 1] - first;
  const int begin = static_cast<int>(token) - first;
  const int end = a.window > 0 ? min(length, begin + a.window) : length;
  const float* k = a.k.row(token) + kv * a.size;
  const float* v = a.v.row(token) + kv * a.value_size;
  float d_k[PARTS] = {}, d_v[PARTS] = {};
  for (int head = kv * a.group; head < (kv + 1) * a.group; ++head) {
    for (int block = begin / kWarp * kWarp; block < end; block += kWarp) {
      const int query = block + lane;
      float weight = 0, slope = 0;
      if (query >= begin && query < end) {
        const int64_t row = first + query, at = row * a.query_heads + head;
        weight = expf(dot(k, a.q.row(row) + head * a.size, a.size) * a.scale - a.lse[at]);
        const float dp = dot(v, g.d_out + at * a.value_size, a.value_size);
        slope = weight * (dp - g.dots[at]) * a.scale;
      }
      for (int t = max(0, begin - block); t < min(kWarp, end - block); ++t) {
        const float share = __shfl_sync(~0u, weight, t), change = __shfl_sync(~0u, slope, t);
        const int64_t row = first + block + t;
        const float* q = a.q.row(row) + head * a.size;
        const float* d_out = g.d_out + (row * a.query_heads + head) * a.value_size;
#pragma unroll
        for (int p = 0; p < PARTS; ++p) {
          const int d = p * kWarp + lane;
          if (d < a.size) d_k[p] = fmaf(change, q[d], d_k[p]);
          if (d < a.value_size) d_v[p] = fmaf(share, d_out[d], d_v[p]);
        }
      }
    }
  }
  float* to_k = g.d_k + token * a.k.stride + kv * a.size;
  float* to_v = g.d_v + token * a.v.stride + kv * a.value_size;
#pragma unroll
  for (int p = 0; p < PARTS; ++p) {
    const int d = p * kWarp + lane;
    if (d < a.size) to_k[d] = d_k[p];
    if (d < a.value_size) to_v[d] = d_v[p];
  }
}

// Row i goes to slots[i], or to where positions[i] stands in its pages.
__global__ void append_kernel(const float* qkv, int width, int first, int size,
                              const int64_t* slots, const int64_t* positions, const int32_t* pages,
                              int64_t most_pages, float* cache) {
  const int64_t row = blockIdx.x;
  int64_t slot = 0;
  if (slots) {
    slot = slots[row];
  } else {
    const int64_t position = positions[row];
    slot =
        static_cast<int64_t>(pages[row * most_pages + position / kPage]) * kPage + position % kPage;
  }
  const float* from = qkv + row * width + first;
  for (int i = threadIdx.x; i < size; i += blockDim.x) cache[slot * size + i] = from[i];
}

// ---- launching ----------------------------------------------------------------------------------

// Calls body with PARTS.
template <class Body>
void for_parts(const HeadLayout& heads, const Body& body) {
  const int64_t size = std::max(heads.head_dim, heads.value_size());
  if (size <= 32) {
    body(std::integral_constant<int, 1>());
  } else if (size <= 64) {
    body(std::integral_constant<int, 2>());
  } else if (size <= 128) {
    body(std::integral_constant<int, 4>());
  } else {
    body(std::integral_constant<int, 8>());
  }
}

Arguments arguments(const HeadLayout& heads, int64_t tokens) {
  Arguments a{};
  a.tokens = tokens;
  a.query_heads = static_cast<int>(heads.query_heads);
  a.group = static_cast<int>(heads.query_heads / heads.kv_heads);
  a.size = static_cast<int>(heads.head_dim), a.value_size = static_cast<int>(heads.value_size());
  a.window = static_cast<int>(heads.sliding_window), a.scale = static_cast<float>(heads.scale);
  if (heads.sinks.defined()) a.sinks = heads.sinks.const_data_ptr<float>();
  return a;
}

unsigned blocks_of(int64_t tasks) {
  return static_cast<unsigned>((tasks + kWarps - 1) / kWarps);
}

void attend(const Arguments& a, const HeadLayout& heads) {
  const int64_t tasks = a.tokens * a.query_heads;
  if (tasks == 0) return;
  for_parts(heads, [&](auto parts) {
    forward_kernel<decltype(parts)::value>
        <<<blocks_of(tasks), kWarp * kWarps, 0, at::cuda::getCurrentCUDAStream()>>>(a);
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void append(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
            const at::Tensor* slots, const DecodeBatch* batch) {
  const auto tokens = static_cast<unsigned>(qkv.size(0));
  if (tokens == 0) return;
  const auto first = heads.query_heads * heads.head_dim, keys = heads.kv_heads * heads.head_dim;
  const auto copy = [&](int64_t from, int64_t size, const at::Tensor& to) {
    append_kernel<<<tokens, 128, 0, at::cuda::getCurrentCUDAStream()>>>(
        qkv.const_data_ptr<float>(), static_cast<int>(heads.width()), static_cast<int>(from),
        static_cast<int>(size), slots ? slots->const_data_ptr<int64_t>() : nullptr,
        batch ? batch->positions.const_data_ptr<int64_t>() : nullptr,
        batch ? batch->pages.const_data_ptr<int32_t>() : nullptr, batch ? batch->pages.size(1) : 0,
        to.data_ptr<float>());
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  };
  copy(first, keys, cache.keys);
  copy(first + keys, heads.kv_heads * heads.value_size(), cache.values);
}

// Queries, keys and values as they lie in rows of qkv.
Arguments packed_arguments(const at::Tensor& qkv, const HeadLayout& heads,
                           const at::Tensor& offsets) {
  auto a = arguments(heads, qkv.size(0));
  const float* data = qkv.const_data_ptr<float>();
  a.q = {data, heads.width()};
  a.k = {data + heads.query_heads * heads.head_dim, heads.width()};
  a.v = {data + (heads.query_heads + heads.kv_heads) * heads.head_dim, heads.width()};
  a.offsets = a.key_offsets = offsets.const_data_ptr<int32_t>();
  a.sequences = static_cast<int>(offsets.size(0) - 1);
  return a;
}

}  // namespace

bool cuda_float_attention_supports(at::ScalarType dtype, const HeadLayout& heads) {
  return dtype == at::kFloat && heads.head_dim <= kMostSize && heads.value_size() <= kMostSize;
}

void cuda_float_attention_forward(const at::Tensor& qkv, const HeadLayout& heads,
                                  const at::Tensor& offsets, FloatAttended& to) {
  const c10::cuda::CUDAGuard guard(qkv.device());
  auto a = packed_arguments(qkv, heads, offsets);
  a.out = to.out.data_ptr<float>(), a.lse = to.lse.data_ptr<float>();
  attend(a, heads);
}

void cuda_float_attention_backward(const FloatGradient& of, const HeadLayout& heads,
                                   at::Tensor& d_qkv) {
  if (of.qkv.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(of.qkv.device());
  const auto stream = at::cuda::getCurrentCUDAStream();
  Gradients g{};
  g.forward = packed_arguments(of.qkv, heads, of.offsets);
  // Written by the forward pass; only read here.
  g.forward.out = const_cast<float*>(of.attended.out.const_data_ptr<float>());
  g.forward.lse = const_cast<float*>(of.attended.lse.const_data_ptr<float>());
  g.d_out = of.d_out.const_data_ptr<float>();
  auto dots = at::empty_like(of.attended.lse);
  g.dots = dots.data_ptr<float>();
  g.d_q = d_qkv.data_ptr<float>();
  g.d_k = g.d_q + heads.query_heads * heads.head_dim;
  g.d_v = g.d_k + heads.kv_heads * heads.head_dim;
  for_parts(heads, [&](auto parts) {
    constexpr int kParts = decltype(parts)::value;
    const int64_t tokens = of.qkv.size(0);
    query_gradient_kernel<kParts>
        <<<blocks_of(tokens * heads.query_heads), kWarp * kWarps, 0, stream>>>(g);
    key_gradient_kernel<kParts>
        <<<blocks_of(tokens * heads.kv_heads), kWarp * kWarps, 0, stream>>>(g);
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

at::Tensor cuda_float_prefix_attention(const PrefixQuery& c, const HeadLayout& heads) {
  const c10::cuda::CUDAGuard guard(c.q.device());
  base::check(c.q.stride(1) == heads.head_dim && c.q.stride(2) == 1 && c.k.is_contiguous() &&
                  c.v.is_contiguous(),
              "heads of a token lie end to end");
  auto out = at::empty({c.q.size(0), heads.out_width()}, c.q.options());
  auto a = arguments(heads, c.q.size(0));
  a.q = {c.q.const_data_ptr<float>(), c.q.stride(0)};
  a.k = {c.k.const_data_ptr<float>(), c.k.stride(0)};
  a.v = {c.v.const_data_ptr<float>(), c.v.stride(0)};
  a.offsets = c.queries.offsets_device.const_data_ptr<int32_t>();
  a.key_offsets = c.keys.offsets_device.const_data_ptr<int32_t>();
  a.sequences = static_cast<int>(c.queries.sequences());
  a.out = out.data_ptr<float>();
  attend(a, heads);
  return out;
}

void cuda_float_append(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                       const at::Tensor& slots) {
  const c10::cuda::CUDAGuard guard(qkv.device());
  append(qkv, heads, cache, &slots, nullptr);
}

void cuda_float_decode(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                       const DecodeBatch& batch, at::Tensor& out) {
  const c10::cuda::CUDAGuard guard(qkv.device());
  append(qkv, heads, cache, nullptr, &batch);
  auto a = arguments(heads, qkv.size(0));
  a.q = {qkv.const_data_ptr<float>(), heads.width()};
  a.k = {cache.keys.const_data_ptr<float>(), heads.kv_heads * heads.head_dim};
  a.v = {cache.values.const_data_ptr<float>(), heads.kv_heads * heads.value_size()};
  a.positions = batch.positions.const_data_ptr<int64_t>();
  a.pages = batch.pages.const_data_ptr<int32_t>();
  a.most_pages = batch.pages.size(1);
  a.out = out.data_ptr<float>();
  attend(a, heads);
}

}  // namespace preimage::nn
