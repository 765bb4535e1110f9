// Attention over spans of keys with a relative-position bias. One block handles one sequence, one
// head and kQueries queries; a warp goes through its query's keys in blocks of 32 by their place in
// the span, with the running maximum and sum of FlashAttention (Dao et al. 2022). Which block a
// query falls into, and what else is in the batch, changes nothing of its own chain.
#include <cuda_bf16.h>

#include <cfloat>

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <ATen/ATen.h>

#include "cuda_biased_attention.hpp"

namespace preimage::nn {
namespace {

using bf16 = __nv_bfloat16;

constexpr int kWarps = 8, kWarp = 32;
constexpr int kQueries = 32;  // of a block; each warp takes a quarter of eight

__device__ inline float wide(float x) {
  return x;
}
__device__ inline float wide(bf16 x) {
  return __bfloat162float(x);
}
__device__ inline void narrow(float x, float* to) {
  *to = x;
}
__device__ inline void narrow(float x, bf16* to) {
  *to = __float2bfloat16_rn(x);
}

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
template <class T, int HEAD_DIM>
__global__ void biased_kernel(Arguments<T> a) {
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
    queries[row][d] = wide(a.q[(first + base + row) * a.q_row + head * HEAD_DIM + d]);
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
      keys[j][d] = there ? wide(a.k[row * a.k_row + head * HEAD_DIM + d]) : 0;
      values[j][d] = there ? wide(a.v[row * a.v_row + head * HEAD_DIM + d]) : 0;
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
    T* to = a.out + (static_cast<int64_t>(first + base + row) * a.heads + head) * HEAD_DIM;
    for (int p = 0; p < kParts; ++p) narrow(out[r][p] / sum[r], to + p * kWarp + lane);
  }
}

template <class T, int HEAD_DIM>
void launch(const Arguments<T>& a, const Packing& queries) {
  const dim3 grid(static_cast<unsigned>(queries.sequences()), static_cast<unsigned>(a.heads),
                  static_cast<unsigned>((queries.longest + kQueries - 1) / kQueries));
  biased_kernel<T, HEAD_DIM>
      <<<grid, kWarps * kWarp, 0, c10::cuda::getCurrentCUDAStream().stream()>>>(a);
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class T>
at::Tensor run(const Attended& x, const FullHeads& heads, const KeySpans& spans,
               const RelativeBias& bias) {
  auto out = at::empty({x.queries.size(0), heads.heads * heads.head_dim}, x.queries.options());
  if (out.size(0) == 0) return out;
  const auto rows = [](const at::Tensor& t) { return t.stride(1) == 1 ? t : t.contiguous(); };
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
