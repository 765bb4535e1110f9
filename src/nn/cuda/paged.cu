// Decoding over a paged cache: every key and value is read once, whatever the number of query heads
// of its group, by tensor cores; the order of summation depends on the sequence alone.
#include "cuda/paged.hpp"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_bf16.h>

#include <algorithm>

#include "cuda/tensor_cores.cuh"
#include "preimage/base/error.hpp"
#include "preimage/nn/decode_attention.hpp"

namespace preimage::nn {
namespace {

constexpr int kWarps = 4;
constexpr int kHeads = 8;  // query heads of one tile of the tensor cores
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

// An 8 x 8 matrix of 16-bit numbers, two of a row in each thread, transposed.
__device__ inline uint32_t transposed(uint32_t x) {
  uint32_t out;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(x));
  return out;
}

// Over the eight threads that hold the keys of the same heads.
__device__ inline float over_keys_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 4));
  x = fmaxf(x, __shfl_xor_sync(~0u, x, 8));
  return fmaxf(x, __shfl_xor_sync(~0u, x, 16));
}
__device__ inline float over_keys_sum(float x) {
  x += __shfl_xor_sync(~0u, x, 4);
  x += __shfl_xor_sync(~0u, x, 8);
  return x + __shfl_xor_sync(~0u, x, 16);
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
  __threadfence();  // the copies to shared memory read beside the first-level cache
  __syncwarp();
}

// The running softmax of eight query heads in the fragments of one warp. Products are transposed,
// [key, head] and [value dim, head]: a tile of 16 rows then holds keys or dims, of which there are
// enough, and not heads. Thread (g, c) = (lane / 4, lane % 4) holds of the heads 2 c and 2 c + 1
// the value dims 16 t + g (+ 8) as acc[t][head % 2 (+ 2)].
template <int VALUE>
struct WarpState {
  float best[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};  // the sum: of this thread's keys alone
  float acc[VALUE / 16][4] = {};
};

// Pages of a warp in shared memory: while one is worked on, the next is under way.
template <int KEY, int VALUE>
struct Ring {
  static constexpr int kPages = 2;
  static constexpr int kKeyBytes = kPage * KEY * 2, kPageBytes = kKeyBytes + kPage * VALUE * 2;
  static constexpr int kWarpBytes = kPages * kPageBytes;
  static constexpr int kBlockBytes = kWarps * kWarpBytes;
  static_assert(kWarpBytes >= kHeads * (VALUE + 4) * 4, "the states are joined in its place");
};

// Chunks of 16 bytes of a row are permuted by the row's number, so that eight rows of one chunk lie
// in different banks.
template <int SIZE>
__device__ inline uint32_t place(int row, int chunk) {
  return static_cast<uint32_t>(row * SIZE * 2 + (chunk ^ row % 8) * 16);
}

// 16 rows of SIZE numbers, `count` of which count; the others become zeros, for beyond the end lies
// whatever was there before, perhaps NaN, which a weight of 0 would keep.
template <int SIZE>
__device__ void copy_rows(uint32_t to, const __nv_bfloat16* from, int row_size, int count) {
  constexpr int kChunks = SIZE / 8;
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kPage * kChunks / 32; ++i) {
    const int row = (i * 32 + lane) / kChunks, chunk = (i * 32 + lane) % kChunks;
    const int bytes = row < count ? 16 : 0;
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to + place<SIZE>(row, chunk)),
        "l"(from + row * row_size + chunk * 8), "r"(bytes));
  }
}

// Of head g the dims 16 t + 2 c (+ 1, + 8, + 9).
template <int KEY>
__device__ void load_queries(const DecodeArguments& a, int64_t row, int first_head, int heads,
                             uint32_t (&q)[KEY / 16][2]) {
  const int g = threadIdx.x % 32 / 4, c = threadIdx.x % 4;
  const auto* from =
      reinterpret_cast<const uint32_t*>(a.qkv + row * a.width + (first_head + g) * KEY) + c;
#pragma unroll
  for (int t = 0; t < KEY / 16; ++t) {
    q[t][0] = g < heads ? from[8 * t] : 0;
    q[t][1] = g < heads ? from[8 * t + 4] : 0;
  }
}

// Scores of the page's keys g (0, 1) and g + 8 (2, 3) under the heads 2 c (0, 2) and 2 c + 1.
template <int KEY>
__device__ void score_keys(const uint32_t (&q)[KEY / 16][2], uint32_t keys, float (&s)[4]) {
  const int lane = threadIdx.x % 32;
  float odd[4] = {};  // a second chain of products, so that neither waits long
#pragma unroll
  for (int t = 0; t < KEY / 16; ++t) {
    uint32_t k[4];
    load_matrices(k, keys + place<KEY>(lane % 16, 2 * t + lane / 16));
    if (t % 2 == 0) {
      multiply_add(s, k, q[t][0], q[t][1]);
    } else {
      multiply_add(odd, k, q[t][0], q[t][1]);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) s[i] += odd[i];
}

// Scores become weights against the running maximum. `first` is the position of the page's first
// key; keys in [low, end) count.
template <int VALUE>
__device__ void weigh_keys(float scale, int first, int low, int end, float (&s)[4],
                           WarpState<VALUE>& state) {
  const int g = threadIdx.x % 32 / 4;
  float shrink[2];
#pragma unroll
  for (int head = 0; head < 2; ++head) {
    float top = -INFINITY;
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const int key = first + n * 8 + g;
      float& score = s[2 * n + head];
      score = key >= low && key < end ? score * scale : -INFINITY;
      top = fmaxf(top, score);
    }
    const float best = fmaxf(state.best[head], over_keys_max(top));
    const float base = best == -INFINITY ? 0 : best;
    shrink[head] = exp2f(state.best[head] - base);
    state.best[head] = best;
    s[head] = exp2f(s[head] - base), s[2 + head] = exp2f(s[2 + head] - base);
    state.sum[head] = state.sum[head] * shrink[head] + (s[head] + s[2 + head]);
  }
#pragma unroll
  for (auto& acc : state.acc) {
    acc[0] *= shrink[0], acc[2] *= shrink[0];
    acc[1] *= shrink[1], acc[3] *= shrink[1];
  }
}

template <int VALUE>
__device__ void add_values(uint32_t values, const float (&s)[4], WarpState<VALUE>& state) {
  const int lane = threadIdx.x % 32, key = lane % 8 + lane / 16 * 8;
  const uint32_t p0 = transposed(pack(s[0], s[1])), p1 = transposed(pack(s[2], s[3]));
#pragma unroll
  for (int t = 0; t < VALUE / 16; ++t) {
    uint32_t v[4];
    load_transposed(v, values + place<VALUE>(key, 2 * t + lane / 8 % 2));
    multiply_add(state.acc[t], v, p0, p1);
  }
}

// Joins the warps' states in their order; then out or the chunk's part. `rings` is the block's
// shared memory, whose pages have been read.
template <int KEY, int VALUE>
__device__ void finish_block(const DecodeArguments& a, WarpState<VALUE>& state, int64_t row,
                             int first_head, int heads, uint8_t* rings) {
  __shared__ float best[kWarps][kHeads], sum[kWarps][kHeads];
  constexpr int kShare = VALUE + 4;  // four floats more, against bank conflicts
  const auto share_of = [&](int warp, int head) {
    return reinterpret_cast<float*>(rings + warp * Ring<KEY, VALUE>::kWarpBytes) + head * kShare;
  };
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, c = lane % 4;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float all = over_keys_sum(state.sum[i]);
    if (g == 0) best[warp][2 * c + i] = state.best[i], sum[warp][2 * c + i] = all;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int head = 2 * c + i;
    if (head >= heads) continue;
    float top = -INFINITY;
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, best[w][head]);
    const float share = best[warp][head] == -INFINITY ? 0 : exp2f(best[warp][head] - top);
    float* to = share_of(warp, head) + g;
#pragma unroll
    for (int t = 0; t < VALUE / 16; ++t)
      to[16 * t] = state.acc[t][i] * share, to[16 * t + 8] = state.acc[t][2 + i] * share;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < heads * VALUE; i += kWarps * 32) {
    const int h = i / VALUE, d = i % VALUE, head = first_head + h;
    float top = -INFINITY, weight = 0, total = 0;
    for (int w = 0; w < kWarps; ++w) top = fmaxf(top, best[w][h]);
    for (int w = 0; w < kWarps; ++w) {
      weight += best[w][h] == -INFINITY ? 0 : sum[w][h] * exp2f(best[w][h] - top);
      total += share_of(w, h)[d];
    }
    if (a.chunks == 1) {
      float shrink = 1;
      if (a.sinks) {
        const float sink = a.sinks[head] * kLog2e, joined = fmaxf(top, sink);
        shrink = exp2f(top - joined);
        weight = weight * shrink + exp2f(sink - joined);
      }
      a.out[(row * a.query_heads + head) * VALUE + d] = __float2bfloat16(total * shrink / weight);
    } else {
      float* part = a.parts + ((row * a.query_heads + head) * a.chunks + blockIdx.x) * (VALUE + 2);
      part[d] = total;
      if (d == 0) part[VALUE] = top, part[VALUE + 1] = weight;
    }
  }
}

// grid: chunks, kv heads times tiles of eight query heads, batch. Pages go to the warps by their
// place in the chunk.
template <int KEY, int VALUE>
__global__ void __launch_bounds__(kWarps * 32) decode_kernel(DecodeArguments a) {
  using R = Ring<KEY, VALUE>;
  constexpr int kWarpPages = static_cast<int>(kDecodeChunk) / kPage / kWarps;
  extern __shared__ __align__(128) uint8_t rings[];
  const int64_t row = blockIdx.z;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int begin = blockIdx.x * static_cast<int>(kDecodeChunk);
  const int first_page = begin / kPage + warp, own_page = first_page + lane * kWarps;
  // Lane i holds the number of the warp's page i.
  const int number =
      lane < kWarpPages && own_page < a.most_pages ? a.pages[row * a.most_pages + own_page] : 0;
  const int position = static_cast<int>(a.positions[row]), end = position + 1;
  if (begin >= end) return;
  const int low = a.window > 0 ? max(0, end - a.window) : 0;
  const int stop = min(end, begin + static_cast<int>(kDecodeChunk));
  const int head = blockIdx.y / a.tiles, tile = blockIdx.y % a.tiles;
  const int first_head = head * a.group + tile * kHeads;
  const int heads = min(kHeads, a.group - tile * kHeads);
  const auto slot_of = [&](int i) {
    return static_cast<int64_t>(__shfl_sync(~0u, number, i)) * kPage;
  };
  // Every tile of a group of more than eight heads writes the same.
  const int behind = position / kPage - first_page;
  if (behind >= 0 && behind % kWarps == 0 && behind / kWarps < kWarpPages)
    append_token<KEY, VALUE>(a, row, head, slot_of(behind / kWarps) + position % kPage);

  int i = max(0, (low / kPage - first_page + kWarps - 1) / kWarps);
  const int last = (stop - 1) / kPage;
  const int pages = last < first_page ? 0 : (last - first_page) / kWarps + 1;
  const uint32_t ring = shared_address(rings) + static_cast<uint32_t>(warp * R::kWarpBytes);
  const auto first_key = [&](int page) { return (first_page + page * kWarps) * kPage; };
  const auto start_page = [&](int page) {
    if (page < pages) {
      const int64_t slot = slot_of(page);
      const uint32_t to = ring + static_cast<uint32_t>(page % R::kPages * R::kPageBytes);
      const int count = stop - first_key(page);
      copy_rows<KEY>(to, a.keys + (slot * a.kv_heads + head) * KEY, a.kv_heads * KEY, count);
      copy_rows<VALUE>(to + R::kKeyBytes, a.values + (slot * a.kv_heads + head) * VALUE,
                       a.kv_heads * VALUE, count);
    }
    asm volatile("cp.async.commit_group;");
  };
  for (int ahead = 0; ahead < R::kPages - 1; ++ahead) start_page(i + ahead);
  uint32_t q[KEY / 16][2];
  load_queries<KEY>(a, row, first_head, heads, q);
  WarpState<VALUE> state;
  for (; i < pages; ++i) {
    asm volatile("cp.async.wait_group %0;" ::"n"(R::kPages - 2));
    __syncwarp();  // this page is there for all threads, and all have read the last one
    start_page(i + R::kPages - 1);
    const uint32_t here = ring + static_cast<uint32_t>(i % R::kPages * R::kPageBytes);
    float s[4] = {};
    score_keys<KEY>(q, here, s);
    weigh_keys<VALUE>(a.scale, first_key(i), low, stop, s, state);
    add_values<VALUE>(here + R::kKeyBytes, s, state);
  }
  finish_block<KEY, VALUE>(a, state, row, first_head, heads, rings);
}

template <int KEY, int VALUE>
void launch_decode(const DecodeArguments& a, dim3 grid, cudaStream_t stream) {
  constexpr int bytes = Ring<KEY, VALUE>::kBlockBytes;
  const auto kernel = decode_kernel<KEY, VALUE>;
  C10_CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
  kernel<<<grid, kWarps * 32, bytes, stream>>>(a);
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
  a.group = a.query_heads / a.kv_heads, a.tiles = (a.group + kHeads - 1) / kHeads;
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
    launch_decode<64, 64>(a, grid, stream);
  } else if (heads.head_dim == 128) {
    launch_decode<128, 128>(a, grid, stream);
  } else {
    launch_decode<192, 128>(a, grid, stream);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  if (a.chunks == 1) return;
  const auto value_dim = static_cast<unsigned>(heads.value_size());
  join_chunks_kernel<<<dim3(static_cast<unsigned>(a.query_heads), rows), value_dim, 0, stream>>>(
      a, static_cast<int>(value_dim));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace preimage::nn
