// Attention over spans of keys with a relative-position bias. One block handles one sequence, one
// head and kQueries queries, which go through the keys in blocks of 32 by their place in the span,
// with the running maximum and sum of FlashAttention (Dao et al. 2022): in float32 a warp takes one
// query after the other, in bfloat16 tensor cores take sixteen at a time. Which block a query falls
// into, and what else is in the batch, changes nothing of its own chain.
#include <cuda_bf16.h>

#include <cfloat>

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <ATen/ATen.h>

#include "cuda/biased_attention.hpp"
#include "cuda/tensor_cores.cuh"

namespace preimage::nn {
namespace {

using bf16 = __nv_bfloat16;

constexpr int kWarps = 8, kWarp = 32;
constexpr int kQueries = 32;  // of a block; each warp takes a quarter of eight

__device__ inline float warp_max(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(~0u, x, step));
  return x;
}
__device__ inline float warp_sum(float x) {
  for (int step = kWarp / 2; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}

template <class T>
struct Arguments {
  const T *q, *k, *v;
  int64_t q_row, k_row, v_row;
  const int32_t* offsets;  // [sequences + 1] of the queries
  const int32_t* spans;    // [sequences, 2]: begin, count
  const float* bias;       // [heads, bias_columns] or null
  int64_t bias_columns, bias_zero;
  T* out;
  int heads;
  bool causal;
  float scale;
};

// HEAD_DIM / 32 features of a query, of the output and of a key's row lie in each lane.
template <int HEAD_DIM>
__global__ void biased_kernel(Arguments<float> a) {
  constexpr int kParts = HEAD_DIM / kWarp;
  __shared__ float keys[kWarp][HEAD_DIM + 1];  // a column of padding keeps the banks apart
  __shared__ float values[kWarp][HEAD_DIM];
  __shared__ float queries[kQueries][HEAD_DIM];
  const int sequence = blockIdx.x, head = blockIdx.y;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int first = a.offsets[sequence], asked = a.offsets[sequence + 1] - first;
  const int base = blockIdx.z * kQueries;
  if (base >= asked) return;
  const int64_t begin = a.spans[2 * sequence];
  const int count = a.spans[2 * sequence + 1];
  const int start = a.causal ? count - asked : 0;  // position of query 0
  const int rows = min(kQueries, asked - base);
  for (int i = threadIdx.x; i < rows * HEAD_DIM; i += kWarps * kWarp) {
    const int row = i / HEAD_DIM, d = i % HEAD_DIM;
    queries[row][d] = a.q[(first + base + row) * a.q_row + head * HEAD_DIM + d];
  }
  constexpr int kOwn = kQueries / kWarps;  // queries of a warp
  float top[kOwn], sum[kOwn], out[kOwn][kParts];
  for (int r = 0; r < kOwn; ++r) {
    top[r] = -FLT_MAX, sum[r] = 0;
    for (int p = 0; p < kParts; ++p) out[r][p] = 0;
  }
  const int last = a.causal ? start + base + rows : count;  // keys that any of the rows sees
  for (int block = 0; block < last; block += kWarp) {
    __syncthreads();
    for (int i = threadIdx.x; i < kWarp * HEAD_DIM; i += kWarps * kWarp) {
      const int j = i / HEAD_DIM, d = i % HEAD_DIM;
      const bool there = block + j < count;
      const int64_t row = begin + block + j;
      keys[j][d] = there ? a.k[row * a.k_row + head * HEAD_DIM + d] : 0;
      values[j][d] = there ? a.v[row * a.v_row + head * HEAD_DIM + d] : 0;
    }
    __syncthreads();
    for (int r = 0; r < kOwn; ++r) {
      const int row = warp * kOwn + r;
      if (row >= rows) break;
      const int position = start + base + row;
      const int seen = a.causal ? position + 1 : count;
      if (block >= seen) break;
      float score = 0;
      for (int d = 0; d < HEAD_DIM; ++d) score = fmaf(queries[row][d], keys[lane][d], score);
      score *= a.scale;
      const int j = block + lane;
      if (a.bias && j < seen) score += a.bias[head * a.bias_columns + a.bias_zero + j - position];
      if (j >= seen) score = -FLT_MAX;
      const float best = fmaxf(top[r], warp_max(score));
      const float weight = j < seen ? expf(score - best) : 0;
      const float shrink = expf(top[r] - best);
      sum[r] = sum[r] * shrink + warp_sum(weight);
      for (int p = 0; p < kParts; ++p) out[r][p] *= shrink;
      const int here = min(kWarp, seen - block);
      for (int t = 0; t < here; ++t) {
        const float w = __shfl_sync(~0u, weight, t);
        for (int p = 0; p < kParts; ++p)
          out[r][p] = fmaf(w, values[t][p * kWarp + lane], out[r][p]);
      }
      top[r] = best;
    }
  }
  for (int r = 0; r < kOwn; ++r) {
    const int row = warp * kOwn + r;
    if (row >= rows) break;
    float* to = a.out + (static_cast<int64_t>(first + base + row) * a.heads + head) * HEAD_DIM;
    for (int p = 0; p < kParts; ++p) to[p * kWarp + lane] = out[r][p] / sum[r];
  }
}

// ---- bfloat16 on tensor cores
// --------------------------------------------------------------------

constexpr int kTile = 16;  // queries of a warp
constexpr int kTensorWarps = kQueries / kTile;

// A row's chunks of 16 bytes are permuted by its number, so that eight rows of one chunk lie in
// different banks.
template <int HEAD_DIM>
__device__ inline uint32_t place(int row, int chunk) {
  constexpr int kMask = HEAD_DIM / 8 - 1;  // 32 features: two rows share 128 bytes
  const int turn = HEAD_DIM == 32 ? row / 2 : row;
  return static_cast<uint32_t>(row * HEAD_DIM * 2 + (chunk ^ (turn & kMask)) * 16);
}

// 32 rows of one head; those from `count` on become zeros.
template <int HEAD_DIM>
__device__ void load_rows(const bf16* from, int64_t row_size, int count, uint8_t* to) {
  constexpr int kChunks = HEAD_DIM / 8;
  for (int i = threadIdx.x; i < kWarp * kChunks; i += kTensorWarps * kWarp) {
    const int row = i / kChunks, chunk = i % kChunks;
    *reinterpret_cast<uint4*>(to + place<HEAD_DIM>(row, chunk)) =
        row < count ? *reinterpret_cast<const uint4*>(from + row * row_size + chunk * 8) : uint4{};
  }
}

// The running softmax of the queries g and g + 8, (g, c) = (lane / 4, lane % 4): of features
// 8 t + 2 c (+ 1) as out[t][0 and 1, 2 and 3].
template <int HEAD_DIM>
struct TileState {
  float top[2] = {-FLT_MAX, -FLT_MAX}, sum[2] = {0, 0};  // the sum: of this thread's keys alone
  float out[HEAD_DIM / 8][4] = {};
};

// Scores of 32 keys become weights. scores[t]: keys block + 8 t + 2 c (+ 1) of the two queries.
template <int HEAD_DIM>
__device__ void weigh(const Arguments<bf16>& a, int block, const int (&position)[2],
                      const int (&seen)[2], float (&scores)[4][4], TileState<HEAD_DIM>& state) {
  const int c = threadIdx.x % 4;
  const float* bias = a.bias ? a.bias + blockIdx.y * a.bias_columns + a.bias_zero : nullptr;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float best = state.top[half];
#pragma unroll
    for (int t = 0; t < 4; ++t) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int j = block + 8 * t + 2 * c + i;
        float& score = scores[t][2 * half + i];
        score *= a.scale;
        if (bias && j < seen[half]) score += bias[j - position[half]];
        if (j >= seen[half]) score = -FLT_MAX;
        best = fmaxf(best, score);
      }
    }
    best = fmaxf(best, __shfl_xor_sync(~0u, best, 1));
    best = fmaxf(best, __shfl_xor_sync(~0u, best, 2));
    const float shrink = expf(state.top[half] - best);
    float sum = 0;
#pragma unroll
    for (int t = 0; t < 4; ++t) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        float& score = scores[t][2 * half + i];
        score = block + 8 * t + 2 * c + i < seen[half] ? expf(score - best) : 0;
        sum += score;
      }
    }
    state.sum[half] = state.sum[half] * shrink + sum;
    state.top[half] = best;
#pragma unroll
    for (auto& out : state.out) out[2 * half] *= shrink, out[2 * half + 1] *= shrink;
  }
}

template <int HEAD_DIM>
__device__ void take_keys(const Arguments<bf16>& a, int block, const int (&position)[2],
                          const int (&seen)[2], const uint32_t (&q)[HEAD_DIM / 16][4],
                          uint32_t keys, uint32_t values, TileState<HEAD_DIM>& state) {
  const int lane = threadIdx.x % kWarp;
  float scores[4][4] = {};
#pragma unroll
  for (int t = 0; t < HEAD_DIM / 16; ++t) {
#pragma unroll
    for (int pair = 0; pair < 2; ++pair) {
      uint32_t k[4];
      const int row = pair * 16 + lane / 16 * 8 + lane % 8;
      load_matrices(k, keys + place<HEAD_DIM>(row, 2 * t + lane / 8 % 2));
      multiply_add(scores[2 * pair], q[t], k[0], k[1]);
      multiply_add(scores[2 * pair + 1], q[t], k[2], k[3]);
    }
  }
  weigh<HEAD_DIM>(a, block, position, seen, scores, state);
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    const uint32_t p[4] = {pack(scores[2 * u][0], scores[2 * u][1]),
                           pack(scores[2 * u][2], scores[2 * u][3]),
                           pack(scores[2 * u + 1][0], scores[2 * u + 1][1]),
                           pack(scores[2 * u + 1][2], scores[2 * u + 1][3])};
#pragma unroll
    for (int n = 0; n < HEAD_DIM / 8; n += 2) {
      uint32_t v[4];
      const int row = u * 16 + lane / 8 % 2 * 8 + lane % 8;
      load_transposed(v, values + place<HEAD_DIM>(row, n + lane / 16));
      multiply_add(state.out[n], p, v[0], v[1]);
      multiply_add(state.out[n + 1], p, v[2], v[3]);
    }
  }
}

template <int HEAD_DIM>
__global__ void __launch_bounds__(kTensorWarps* kWarp) tensor_kernel(Arguments<bf16> a) {
  __shared__ __align__(128) uint8_t keys[kWarp * HEAD_DIM * 2], values[kWarp * HEAD_DIM * 2];
  const int sequence = blockIdx.x, head = blockIdx.y;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, g = lane / 4, c = lane % 4;
  const int first = a.offsets[sequence], asked = a.offsets[sequence + 1] - first;
  const int base = blockIdx.z * kQueries;
  if (base >= asked) return;
  const int64_t begin = a.spans[2 * sequence];
  const int count = a.spans[2 * sequence + 1];
  const int start = a.causal ? count - asked : 0;  // position of query 0
  const int rows = min(kQueries, asked - base), own = warp * kTile;
  const bool works = own < rows;
  uint32_t q[HEAD_DIM / 16][4] = {};
  int position[2], seen[2];
  for (int half = 0; half < 2; ++half) {
    // Beyond the last query stands the last one again; nothing of it is kept.
    const int row = min(own + g + 8 * half, rows - 1);
    position[half] = start + base + row;
    seen[half] = a.causal ? position[half] + 1 : count;
    const auto* from =
        reinterpret_cast<const uint32_t*>(a.q + (first + base + row) * a.q_row + head * HEAD_DIM) +
        c;
#pragma unroll
    for (int t = 0; t < HEAD_DIM / 16; ++t)
      q[t][half] = from[8 * t], q[t][2 + half] = from[8 * t + 4];
  }
  TileState<HEAD_DIM> state;
  const int last = a.causal ? start + base + rows : count;  // keys that any of the rows sees
  for (int block = 0; block < last; block += kWarp) {
    __syncthreads();
    const int64_t row = begin + block;
    load_rows<HEAD_DIM>(a.k + row * a.k_row + head * HEAD_DIM, a.k_row, count - block, keys);
    load_rows<HEAD_DIM>(a.v + row * a.v_row + head * HEAD_DIM, a.v_row, count - block, values);
    __syncthreads();
    if (works)
      take_keys<HEAD_DIM>(a, block, position, seen, q, shared_address(keys), shared_address(values),
                          state);
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = state.sum[half];
    sum += __shfl_xor_sync(~0u, sum, 1);
    sum += __shfl_xor_sync(~0u, sum, 2);
    const int row = own + g + 8 * half;
    if (row >= rows) continue;
    auto* to = reinterpret_cast<uint32_t*>(
                   a.out + (static_cast<int64_t>(first + base + row) * a.heads + head) * HEAD_DIM) +
               c;
#pragma unroll
    for (int t = 0; t < HEAD_DIM / 8; ++t)
      to[4 * t] = pack(state.out[t][2 * half] / sum, state.out[t][2 * half + 1] / sum);
  }
}

template <class T, int HEAD_DIM>
void launch(const Arguments<T>& a, const Packing& queries) {
  const dim3 grid(static_cast<unsigned>(queries.sequences()), static_cast<unsigned>(a.heads),
                  static_cast<unsigned>((queries.longest + kQueries - 1) / kQueries));
  const auto stream = c10::cuda::getCurrentCUDAStream().stream();
  if constexpr (sizeof(T) == 2) {
    tensor_kernel<HEAD_DIM><<<grid, kTensorWarps * kWarp, 0, stream>>>(a);
  } else {
    biased_kernel<HEAD_DIM><<<grid, kWarps * kWarp, 0, stream>>>(a);
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class T>
at::Tensor run(const Attended& x, const FullHeads& heads, const KeySpans& spans,
               const RelativeBias& bias) {
  auto out = at::empty({x.queries.size(0), heads.heads * heads.head_dim}, x.queries.options());
  if (out.size(0) == 0) return out;
  // Rows that 16 bytes can be read of at once.
  const auto rows = [](const at::Tensor& t) {
    const bool aligned =
        t.stride(0) % 8 == 0 && reinterpret_cast<uintptr_t>(t.const_data_ptr()) % 16 == 0;
    return t.stride(1) == 1 && aligned ? t : t.clone(at::MemoryFormat::Contiguous);
  };
  const auto q = rows(x.queries), k = rows(x.keys), v = rows(x.values);
  const auto table = bias.table.defined() ? bias.table.to(at::kFloat).contiguous() : at::Tensor();
  Arguments<T> a{};
  a.q = static_cast<const T*>(q.const_data_ptr());
  a.k = static_cast<const T*>(k.const_data_ptr());
  a.v = static_cast<const T*>(v.const_data_ptr());
  a.q_row = q.stride(0), a.k_row = k.stride(0), a.v_row = v.stride(0);
  a.offsets = spans.queries.offsets_device.const_data_ptr<int32_t>();
  a.spans = spans.keys_device.const_data_ptr<int32_t>();
  if (table.defined()) {
    a.bias = table.const_data_ptr<float>();
    a.bias_columns = table.size(1), a.bias_zero = bias.zero;
  }
  a.out = static_cast<T*>(out.data_ptr());
  a.heads = static_cast<int>(heads.heads);
  a.causal = spans.causal;
  a.scale = static_cast<float>(heads.scale);
  if (heads.head_dim == 32) launch<T, 32>(a, spans.queries);
  if (heads.head_dim == 64) launch<T, 64>(a, spans.queries);
  return out;
}

}  // namespace

bool cuda_biased_attention_supports(const Attended& x, const FullHeads& heads) {
  const auto dtype = x.queries.scalar_type();
  return x.queries.is_cuda() && (dtype == at::kFloat || dtype == at::kBFloat16) &&
         x.keys.scalar_type() == dtype && x.values.scalar_type() == dtype &&
         (heads.head_dim == 32 || heads.head_dim == 64);
}

at::Tensor cuda_biased_attention(const Attended& x, const FullHeads& heads, const KeySpans& spans,
                                 const RelativeBias& bias) {
  const c10::cuda::CUDAGuard guard(x.queries.device());
  return x.queries.scalar_type() == at::kFloat ? run<float>(x, heads, spans, bias)
                                               : run<bf16>(x, heads, spans, bias);
}

}  // namespace preimage::nn
