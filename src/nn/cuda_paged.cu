// Decoding over a paged cache: every key and value is read once, whatever the number of query heads
// of its group, by tensor cores; the order of summation depends on the sequence alone.
#include "cuda_paged.hpp"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_bf16.h>

#include <algorithm>

#include "preimage/base/error.hpp"
#include "preimage/nn/decode_attention.hpp"

namespace preimage::nn {
namespace {

constexpr int kWarps = 4;
constexpr int kRows = 16;  // query heads of one tile of the tensor cores
constexpr int kPage = static_cast<int>(kPageTokens);
constexpr float kLog2e = 1.4426950408889634f;

struct DecodeArguments {
  const __nv_bfloat16* qkv;  // [batch, width]
  __nv_bfloat16 *keys, *values;
  const int64_t* positions;
  const int32_t* pages;
  const float* sinks;  // [query_heads] or null
  __nv_bfloat16* out;  // [batch, query_heads * value_dim]
  float* parts;        // [batch, query_heads, chunks, value_dim + 2] or null with one chunk
  int64_t most_pages;
  int width, query_heads, kv_heads, group, tiles, window, chunks;
  float scale;
};

__device__ inline void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline uint32_t pack(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return reinterpret_cast<const uint32_t&>(both);
}

__device__ inline float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 1));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 2));
}
__device__ inline float quad_sum(float x) {
  x += __shfl_xor_sync(~0u, x, 1);
  return x + __shfl_xor_sync(~0u, x, 2);
}

// One warp copies the new token's key and value of one kv head into its page.
template <int KEY, int VALUE>
__device__ void append_token(const DecodeArguments& a, int64_t row, int head, int64_t slot) {
  const __nv_bfloat16* from = a.qkv + row * a.width + a.query_heads * KEY;
  for (int i = threadIdx.x % 32 * 8; i < KEY; i += 32 * 8)
    *reinterpret_cast<uint4*>(a.keys + (slot * a.kv_heads + head) * KEY + i) =
        *reinterpret_cast<const uint4*>(from + head * KEY + i);
  from += a.kv_heads * KEY;
  for (int i = threadIdx.x % 32 * 8; i < VALUE; i += 32 * 8)
    *reinterpret_cast<uint4*>(a.values + (slot * a.kv_heads + head) * VALUE + i) =
        *reinterpret_cast<const uint4*>(from + head * VALUE + i);
  __threadfence_block();
  __syncwarp();
}

// The running softmax of 16 query heads in the fragments of one warp. Thread (g, c) = (lane / 4,
// lane % 4) holds of the heads g and g + 8 the value dims 64 h + 16 c + 8 n + j as
// acc[8 h + j][n] and acc[8 h + j][2 + n].
template <int VALUE>
struct WarpState {
  float best[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};  // the sum: of this thread's keys alone
  float acc[VALUE / 8][4] = {};
};

template <int KEY>
__device__ void load_queries(const DecodeArguments& a, int64_t row, int first_head, int heads,
                             uint32_t (&q)[KEY / 16][4]) {
  const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
  const __nv_bfloat16* from = a.qkv + row * a.width + (first_head + g) * KEY + c * 8;
#pragma unroll
  for (int j = 0; j < KEY / 32; ++j) {
    uint4 low{}, high{};
    if (g < heads) low = *reinterpret_cast<const uint4*>(from + j * 32);
    if (g + 8 < heads) high = *reinterpret_cast<const uint4*>(from + 8 * KEY + j * 32);
    q[2 * j][0] = low.x, q[2 * j][2] = low.y, q[2 * j + 1][0] = low.z, q[2 * j + 1][2] = low.w;
    q[2 * j][1] = high.x, q[2 * j][3] = high.y, q[2 * j + 1][1] = high.z, q[2 * j + 1][3] = high.w;
  }
}

// One page of keys and values. `first` is the position of its first key; keys in [low, end) count.
// The order of the dims within a product is permuted alike for queries and keys, so that every
// thread loads 16 bytes at once.
template <int KEY, int VALUE>
__device__ void attend_page(const DecodeArguments& a, const __nv_bfloat16* keys,
                            const __nv_bfloat16* values, int first, int low, int end,
                            const uint32_t (&q)[KEY / 16][4], WarpState<VALUE>& state) {
  const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
  const int key_row = a.kv_heads * KEY, value_row = a.kv_heads * VALUE;
  uint4 v[4][VALUE / 64];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int key = 2 * c + i % 2 + i / 2 * 8;
#pragma unroll
    for (int h = 0; h < VALUE / 64; ++h) {
      // Beyond the end lies whatever was there before, perhaps NaN, which a weight of 0 would keep.
      v[i][h] = first + key < end
                    ? *reinterpret_cast<const uint4*>(values + key * value_row + h * 64 + g * 8)
                    : uint4{};
    }
  }
  float s[2][4] = {};
#pragma unroll
  for (int j = 0; j < KEY / 32; ++j) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const uint4 k =
          *reinterpret_cast<const uint4*>(keys + (n * 8 + g) * key_row + j * 32 + c * 8);
      multiply_add(s[n], q[2 * j], k.x, k.y);
      multiply_add(s[n], q[2 * j + 1], k.z, k.w);
    }
  }
  float shrink[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float top = -INFINITY;
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = first + n * 8 + 2 * c + i;
        float& score = s[n][2 * half + i];
        score = key >= low && key < end ? score * a.scale : -INFINITY;
        top = fmaxf(top, score);
      }
    }
    const float best = fmaxf(state.best[half], quad_max(top));
    const float base = best == -INFINITY ? 0 : best;
    shrink[half] = exp2f(state.best[half] - base);
    state.best[half] = best;
    float sum = 0;
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& score = s[n][2 * half + i];
        score = exp2f(score - base);
        sum += score;
      }
    }
    state.sum[half] = state.sum[half] * shrink[half] + sum;
  }
  const uint32_t p[4] = {pack(s[0][0], s[0][1]), pack(s[0][2], s[0][3]), pack(s[1][0], s[1][1]),
                         pack(s[1][2], s[1][3])};
#pragma unroll
  for (int h = 0; h < VALUE / 64; ++h) {
#pragma unroll
    for (int j = 0; j < 8; ++j) {
      float(&acc)[4] = state.acc[8 * h + j];
      acc[0] *= shrink[0], acc[1] *= shrink[0], acc[2] *= shrink[1], acc[3] *= shrink[1];
      const auto word = [&](int i) { return reinterpret_cast<const uint32_t*>(&v[i][h])[j / 2]; };
      const uint32_t pick = j % 2 == 0 ? 0x5410 : 0x7632;
      multiply_add(acc, p, __byte_perm(word(0), word(1), pick),
                   __byte_perm(word(2), word(3), pick));
    }
  }
}

// Joins the warps' states in their order; then out or the chunk's part.
template <int VALUE>
__device__ void finish_block(const DecodeArguments& a, WarpState<VALUE>& state, int64_t row,
                             int first_head, int heads) {
  __shared__ float best[kWarps][kRows], sum[kWarps][kRows];
  __shared__ float total[kRows][VALUE + 4];  // four floats more, against bank conflicts
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, c = lane % 4;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const float all = quad_sum(state.sum[half]);
    if (c == 0) best[warp][g + 8 * half] = state.best[half], sum[warp][g + 8 * half] = all;
  }
  __syncthreads();
  for (int turn = 0; turn < kWarps; ++turn) {
    if (turn == warp) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int head = g + 8 * half;
        float top = -INFINITY;
        for (int w = 0; w < kWarps; ++w) top = fmaxf(top, best[w][head]);
        const float share = best[warp][head] == -INFINITY ? 0 : exp2f(best[warp][head] - top);
#pragma unroll
        for (int t = 0; t < VALUE / 8; ++t) {
#pragma unroll
          for (int n = 0; n < 2; ++n) {
            float& cell = total[head][t / 8 * 64 + 16 * c + 8 * n + t % 8];
            const float part = state.acc[t][2 * half + n] * share;
            cell = turn == 0 ? part : cell + part;
          }
        }
      }
    }
    __syncthreads();
  }
  for (int i = threadIdx.x; i < heads * VALUE; i += kWarps * 32) {
    const int h = i / VALUE, d = i % VALUE, head = first_head + h;
    float top = -INFINITY, weight = 0;
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, best[w][h]);
    for (int w = 0; w < kWarps; ++w)
      weight += best[w][h] == -INFINITY ? 0 : sum[w][h] * exp2f(best[w][h] - top);
    if (a.chunks == 1) {
      float shrink = 1;
      if (a.sinks) {
        const float sink = a.sinks[head] * kLog2e, joined = fmaxf(top, sink);
        shrink = exp2f(top - joined);
        weight = weight * shrink + exp2f(sink - joined);
      }
      a.out[(row * a.query_heads + head) * VALUE + d] =
          __float2bfloat16(total[h][d] * shrink / weight);
    } else {
      float* part = a.parts + ((row * a.query_heads + head) * a.chunks + blockIdx.x) * (VALUE + 2);
      part[d] = total[h][d];
      if (d == 0) part[VALUE] = top, part[VALUE + 1] = weight;
    }
  }
}

// grid: chunks, kv heads times tiles of 16 query heads, batch.
template <int KEY, int VALUE>
__global__ void __launch_bounds__(kWarps * 32) decode_kernel(DecodeArguments a) {
  const int64_t row = blockIdx.z;
  const int position = static_cast<int>(a.positions[row]), end = position + 1;
  const int chunk = blockIdx.x, begin = chunk * static_cast<int>(kDecodeChunk);
  const int low = a.window > 0 ? max(0, end - a.window) : 0;
  if (begin >= end) return;
  const int head = blockIdx.y / a.tiles, tile = blockIdx.y % a.tiles;
  const int first_head = head * a.group + tile * kRows, heads = min(kRows, a.group - tile * kRows);
  const int stop = min(end, begin + static_cast<int>(kDecodeChunk));
  const int32_t* pages = a.pages + row * a.most_pages;
  const int warp = threadIdx.x / 32;
  // Pages go to the warps by their place in the chunk; the number of the next is read ahead.
  int page = begin / kPage + warp;
  int64_t next = page * kPage < stop ? pages[page] : 0;
  uint32_t q[KEY / 16][4];
  load_queries<KEY>(a, row, first_head, heads, q);
  WarpState<VALUE> state;
  for (; page * kPage < stop; page += kWarps) {
    const int64_t slot = next * kPage;
    if ((page + kWarps) * kPage < stop) next = pages[page + kWarps];
    if ((page + 1) * kPage <= low) continue;
    // Every tile of a group of more than 16 heads writes the same.
    if (page == position / kPage) append_token<KEY, VALUE>(a, row, head, slot + position % kPage);
    attend_page<KEY, VALUE>(a, a.keys + (slot * a.kv_heads + head) * KEY,
                            a.values + (slot * a.kv_heads + head) * VALUE, page * kPage, low, stop,
                            q, state);
  }
  finish_block<VALUE>(a, state, row, first_head, heads);
}

// Joins the chunks of one row and head in their order. grid: query heads, batch; a thread for each
// value dim.
__global__ void join_chunks_kernel(DecodeArguments a, int value_dim) {
  const int64_t row = blockIdx.y;
  const int head = blockIdx.x, d = threadIdx.x, end = static_cast<int>(a.positions[row]) + 1;
  const int chunks = (end + static_cast<int>(kDecodeChunk) - 1) / static_cast<int>(kDecodeChunk);
  const int size = value_dim + 2;
  const float* parts =
      a.parts + (row * a.query_heads + head) * static_cast<int64_t>(a.chunks) * size;
  const float sink = a.sinks ? a.sinks[head] * kLog2e : -INFINITY;
  float top = sink;
  for (int i = 0; i < chunks; ++i) top = fmaxf(top, parts[i * size + value_dim]);
  float weight = 0, total = 0;
  for (int i = 0; i < chunks; ++i) {
    const float best = parts[i * size + value_dim];
    const float share = best == -INFINITY ? 0 : exp2f(best - top);
    total += parts[i * size + d] * share;
    weight += parts[i * size + value_dim + 1] * share;
  }
  if (a.sinks) weight += exp2f(sink - top);
  a.out[(row * a.query_heads + head) * value_dim + d] = __float2bfloat16(total / weight);
}

__global__ void append_kernel(const __nv_bfloat16* qkv, int width, int first, int size,
                              const int64_t* slots, __nv_bfloat16* cache) {
  const int64_t row = blockIdx.x;
  const auto* from = reinterpret_cast<const uint4*>(qkv + row * width + first);
  auto* to = reinterpret_cast<uint4*>(cache + slots[row] * size);
  for (int i = threadIdx.x; i < size / 8; i += blockDim.x) to[i] = from[i];
}

__nv_bfloat16* data(const at::Tensor& x) {
  return reinterpret_cast<__nv_bfloat16*>(x.data_ptr<at::BFloat16>());
}

}  // namespace

void cuda_append(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                 const at::Tensor& slots) {
  const c10::cuda::CUDAGuard guard(qkv.device());
  const auto stream = at::cuda::getCurrentCUDAStream();
  const auto tokens = static_cast<unsigned>(qkv.size(0));
  if (tokens == 0) return;
  const auto width = static_cast<int>(heads.width());
  const auto first = static_cast<int>(heads.query_heads * heads.head_dim);
  const auto keys = static_cast<int>(heads.kv_heads * heads.head_dim);
  const auto values = static_cast<int>(heads.kv_heads * heads.value_size());
  append_kernel<<<tokens, 128, 0, stream>>>(data(qkv), width, first, keys,
                                            slots.const_data_ptr<int64_t>(), data(cache.keys));
  append_kernel<<<tokens, 128, 0, stream>>>(data(qkv), width, first + keys, values,
                                            slots.const_data_ptr<int64_t>(), data(cache.values));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void cuda_decode(const at::Tensor& qkv, const HeadLayout& heads, const LayerCache& cache,
                 const DecodeBatch& batch, at::Tensor& out) {
  const c10::cuda::CUDAGuard guard(qkv.device());
  const auto stream = at::cuda::getCurrentCUDAStream();
  DecodeArguments a{};
  a.qkv = data(qkv), a.keys = data(cache.keys), a.values = data(cache.values), a.out = data(out);
  a.positions = batch.positions.const_data_ptr<int64_t>();
  a.pages = batch.pages.const_data_ptr<int32_t>();
  a.most_pages = batch.pages.size(1);
  if (heads.sinks.defined()) a.sinks = heads.sinks.const_data_ptr<float>();
  a.width = static_cast<int>(heads.width());
  a.query_heads = static_cast<int>(heads.query_heads);
  a.kv_heads = static_cast<int>(heads.kv_heads);
  a.group = a.query_heads / a.kv_heads, a.tiles = (a.group + kRows - 1) / kRows;
  a.window = static_cast<int>(heads.sliding_window), a.chunks = static_cast<int>(batch.chunks);
  a.scale = static_cast<float>(heads.scale) * kLog2e;
  const auto rows = static_cast<unsigned>(qkv.size(0));
  at::Tensor parts;
  if (a.chunks > 1) {
    parts = at::empty({qkv.size(0), a.query_heads, a.chunks, heads.value_size() + 2},
                      qkv.options().dtype(at::kFloat));
    a.parts = parts.data_ptr<float>();
  }
  const dim3 grid(static_cast<unsigned>(a.chunks), static_cast<unsigned>(a.kv_heads * a.tiles),
                  rows);
  if (heads.head_dim == 64) {
    decode_kernel<64, 64><<<grid, kWarps * 32, 0, stream>>>(a);
  } else if (heads.head_dim == 128) {
    decode_kernel<128, 128><<<grid, kWarps * 32, 0, stream>>>(a);
  } else {
    decode_kernel<192, 128><<<grid, kWarps * 32, 0, stream>>>(a);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  if (a.chunks == 1) return;
  const auto value_dim = static_cast<unsigned>(heads.value_size());
  join_chunks_kernel<<<dim3(static_cast<unsigned>(a.query_heads), rows), value_dim, 0, stream>>>(
      a, static_cast<int>(value_dim));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace preimage::nn
