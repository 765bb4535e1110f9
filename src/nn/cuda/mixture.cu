// What stands between the products of a mixture of experts on a GPU: who meets whom, the weighted
// sums, and the decoding of matrices in few bits.
#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <algorithm>
#include <type_traits>

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>

#include "cuda/grouped_product.hpp"
#include "cuda/kernels.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

using Codes = NarrowMatrix::Codes;

constexpr int kThreads = 256;
constexpr int kWarp = 32;

__device__ inline float wide(float x) {
  return x;
}
__device__ inline float wide(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ inline float rounded(float x) {
  return __bfloat162float(__float2bfloat16(x));
}

// ---- the best groups of each row ----------------------------------------------------------------

// A warp takes one row; lane l holds the scores l, l + 32, ...
template <class T>
__global__ void top_groups_kernel(const T* scores, int64_t rows, int groups, int k, int64_t* out) {
  constexpr int kMost = static_cast<int>(kMostGroups) / kWarp;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp;
  if (row >= rows) return;
  const int lane = threadIdx.x % kWarp;
  float score[kMost];
  uint32_t chosen = 0;  // a bit for each of the lane's scores
#pragma unroll
  for (int i = 0; i < kMost; ++i) {
    const int group = i * kWarp + lane;
    score[i] = group < groups ? wide(scores[row * groups + group]) : -INFINITY;
  }
  for (int turn = 0; turn < k; ++turn) {
    float best = -INFINITY;
    int where = groups;
#pragma unroll
    for (int i = 0; i < kMost; ++i) {
      const int group = i * kWarp + lane;
      if (group < groups && !(chosen >> i & 1) && (where == groups || score[i] > best))
        best = score[i], where = group;
    }
    for (int step = kWarp / 2; step > 0; step /= 2) {
      const float other = __shfl_xor_sync(~0u, best, step);
      const int at = __shfl_xor_sync(~0u, where, step);
      if (at < groups && (where == groups || other > best || (other == best && at < where)))
        best = other, where = at;
    }
    if (where % kWarp == lane) chosen |= 1u << where / kWarp;
  }
  int place = 0;
  for (int i = 0; i * kWarp < groups; ++i) {
    const uint32_t those = __ballot_sync(~0u, chosen >> i & 1);
    if (chosen >> i & 1)
      out[row * k + place + __popc(those & ((1u << lane) - 1))] = i * kWarp + lane;
    place += __popc(those);
  }
}

// ---- pairs by their group -----------------------------------------------------------------------

// Block g writes the places and the tiles of group g. Every block counts all groups for itself:
// that costs less than a second kernel.
__global__ void __launch_bounds__(kThreads)
    group_kernel(const int64_t* groups, int pairs, int count, int most_tiles, int32_t* order,
                 int32_t* tiles) {
  __shared__ int counts[kMostGroups];
  __shared__ int before[kThreads / kWarp];
  const int group = static_cast<int>(blockIdx.x), lane = threadIdx.x % kWarp,
            warp = threadIdx.x / kWarp;
  for (int i = threadIdx.x; i < count; i += kThreads) counts[i] = 0;
  __syncthreads();
  for (int i = threadIdx.x; i < pairs; i += kThreads)
    atomicAdd(&counts[static_cast<int>(groups[i])], 1);  // integers: any order, one sum
  __syncthreads();
  int first = 0, first_tile = 0, all_tiles = 0;
  constexpr int kRows = static_cast<int>(kTileRows);
  for (int i = 0; i < count; ++i) {
    const int own = (counts[i] + kRows - 1) / kRows;
    if (i < group) first += counts[i], first_tile += own;
    all_tiles += own;
  }
  const int rows = counts[group];
  for (int i = threadIdx.x; i * kRows < rows; i += kThreads) {
    int32_t* tile = tiles + 3 * (first_tile + i);
    tile[0] = group, tile[1] = first + i * kRows, tile[2] = min(kRows, rows - i * kRows);
  }
  if (group == 0) {
    for (int i = all_tiles + static_cast<int>(threadIdx.x); i < most_tiles; i += kThreads)
      tiles[3 * i] = tiles[3 * i + 1] = tiles[3 * i + 2] = 0;
  }
  int placed = first;
  for (int begin = 0; begin < pairs; begin += kThreads) {
    const int i = begin + static_cast<int>(threadIdx.x);
    const bool mine = i < pairs && groups[i] == group;
    const uint32_t those = __ballot_sync(~0u, mine);
    __syncthreads();  // the last counts have been read
    if (lane == 0) before[warp] = __popc(those);
    __syncthreads();
    int ahead = 0, all = 0;
    for (int w = 0; w < kThreads / kWarp; ++w) {
      if (w < warp) ahead += before[w];
      all += before[w];
    }
    if (mine) order[placed + ahead + __popc(those & ((1u << lane) - 1))] = i;
    placed += all;
  }
}

// ---- sums and orders ----------------------------------------------------------------------------

template <class W>
__global__ void weighted_sum_kernel(const __nv_bfloat16* terms, const W* weights, int k, int width,
                                    __nv_bfloat16* out) {
  const int64_t token = blockIdx.x;
  const int first = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * 8;
  if (first >= width) return;
  float sum[8];
  for (int j = 0; j < k; ++j) {
    const uint4 raw = *reinterpret_cast<const uint4*>(
        terms + (token * k + j) * static_cast<int64_t>(width) + first);
    const auto* term = reinterpret_cast<const __nv_bfloat16*>(&raw);
    const float weight = wide(weights[token * k + j]);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float product = rounded(wide(term[i]) * weight);
      sum[i] = j == 0 ? product : rounded(sum[i] + product);
    }
  }
  __nv_bfloat16 done[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) done[i] = __float2bfloat16(sum[i]);
  *reinterpret_cast<uint4*>(out + token * width + first) = *reinterpret_cast<const uint4*>(done);
}

// Rounded where the plain form rounds.
template <class T>
__global__ void clamped_swiglu_kernel(const T* gate_up, float limit, float alpha, int inner,
                                      T* out) {
  const int i = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (i >= inner) return;
  const auto round = [](float x) {
    if constexpr (sizeof(T) == 2) return rounded(x);
    return x;
  };
  const T* row = gate_up + static_cast<int64_t>(blockIdx.x) * 2 * inner;
  const float most = round(limit), gate = fminf(wide(row[i]), most);
  const float up = round(fminf(fmaxf(wide(row[inner + i]), -most), most) + 1.0f);
  const float opened = round(1.0f / (1.0f + expf(-round(gate * alpha))));
  const float result = up * round(gate * opened);
  if constexpr (sizeof(T) == 2) {
    out[static_cast<int64_t>(blockIdx.x) * inner + i] = __float2bfloat16(result);
  } else {
    out[static_cast<int64_t>(blockIdx.x) * inner + i] = result;
  }
}

__global__ void in_eights_kernel(const uint4* x, int64_t eights, uint4* out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= eights) return;
  const uint4 v = x[i];  // pairs 01 23 45 67 -> 04 15 26 37
  out[i] = {__byte_perm(v.x, v.z, 0x5410), __byte_perm(v.x, v.z, 0x7632),
            __byte_perm(v.y, v.w, 0x5410), __byte_perm(v.y, v.w, 0x7632)};
}

// ---- decoding -----------------------------------------------------------------------------------

struct Decoded {
  const void* codes;
  const void* scales;
  int64_t begin;
  int columns, block_rows, block_columns, scale_columns;
  __nv_bfloat16* out;
};

__device__ inline float e2m1(uint32_t code) {
  const uint32_t bits = (code & 8) << 28 | (code & 7) << 22;
  return __uint_as_float(bits) * 0x1p126f;
}

// Eight numbers a thread; blockIdx.x: the row.
template <Codes FORMAT>
__global__ void decode_kernel(Decoded d) {
  const int first = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * 8;
  if (first >= d.columns) return;
  const int64_t row = d.begin + blockIdx.x;
  const int64_t at = row * d.columns + first;
  const int64_t scale_at = row / d.block_rows * d.scale_columns + first / d.block_columns;
  float scale;
  if constexpr (FORMAT == Codes::mxfp4) {
    const uint32_t byte = static_cast<const uint8_t*>(d.scales)[scale_at];
    scale = byte == 0 ? 0x1p-127f : __uint_as_float(byte << 23);
  } else {
    scale = static_cast<const float*>(d.scales)[scale_at];
  }
  __nv_bfloat16 out[8];
  if constexpr (FORMAT == Codes::mxfp4 || FORMAT == Codes::int4) {
    const uint32_t word = static_cast<const uint32_t*>(d.codes)[at / 8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t code = word >> 4 * i & 0xF;
      const float value =
          FORMAT == Codes::mxfp4 ? e2m1(code) : static_cast<float>(static_cast<int>(code) - 8);
      out[i] = __float2bfloat16(value * scale);
    }
  } else {
    const uint2 words = *reinterpret_cast<const uint2*>(static_cast<const uint8_t*>(d.codes) + at);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t code = (i < 4 ? words.x : words.y) >> 8 * (i % 4) & 0xFF;
      float value = static_cast<float>(static_cast<int8_t>(code));
      if constexpr (FORMAT == Codes::fp8) {
        const __half_raw half =
            __nv_cvt_fp8_to_halfraw(static_cast<__nv_fp8_storage_t>(code), __NV_E4M3);
        value = __half2float(half);
      }
      out[i] = __float2bfloat16(value * scale);
    }
  }
  *reinterpret_cast<uint4*>(d.out + static_cast<int64_t>(blockIdx.x) * d.columns + first) =
      *reinterpret_cast<const uint4*>(out);
}

cudaStream_t stream() {
  return at::cuda::getCurrentCUDAStream();
}

unsigned blocks_of(int64_t units, int64_t of_a_block) {
  return static_cast<unsigned>((units + of_a_block - 1) / of_a_block);
}

const __nv_bfloat16* numbers(const at::Tensor& x) {
  return reinterpret_cast<const __nv_bfloat16*>(x.const_data_ptr<at::BFloat16>());
}
__nv_bfloat16* written(const at::Tensor& x) {
  return reinterpret_cast<__nv_bfloat16*>(x.data_ptr<at::BFloat16>());
}

}  // namespace

at::Tensor cuda_top_groups(const at::Tensor& scores, int64_t k) {
  const int64_t rows = scores.size(0), groups = scores.size(1);
  base::check(groups <= kMostGroups && k <= groups, "at most 512 experts are chosen from");
  const c10::cuda::CUDAGuard guard(scores.device());
  const auto from = scores.contiguous();
  auto out = at::empty({rows, k}, scores.options().dtype(at::kLong));
  if (rows == 0) return out;
  const unsigned blocks = blocks_of(rows, kThreads / kWarp);
  const auto launch = [&](const auto* data) {
    top_groups_kernel<<<blocks, kThreads, 0, stream()>>>(
        data, rows, static_cast<int>(groups), static_cast<int>(k), out.data_ptr<int64_t>());
  };
  if (from.scalar_type() == at::kBFloat16) {
    launch(numbers(from));
  } else {
    launch(from.const_data_ptr<float>());
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

RowGroups cuda_group_rows(const at::Tensor& groups, int64_t count) {
  const int64_t pairs = groups.numel();
  base::check(count <= kMostGroups && groups.is_contiguous(), "at most 512 groups of rows");
  const c10::cuda::CUDAGuard guard(groups.device());
  const int64_t most = std::min(pairs, count + pairs / kTileRows);
  const auto options = groups.options().dtype(at::kInt);
  RowGroups out{at::empty({pairs}, options), at::empty({most, 3}, options)};
  if (pairs == 0) return out;
  group_kernel<<<static_cast<unsigned>(count), kThreads, 0, stream()>>>(
      groups.const_data_ptr<int64_t>(), static_cast<int>(pairs), static_cast<int>(count),
      static_cast<int>(most), out.order.data_ptr<int32_t>(), out.tiles.data_ptr<int32_t>());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

at::Tensor cuda_in_eights(const at::Tensor& x) {
  const c10::cuda::CUDAGuard guard(x.device());
  const auto from = x.contiguous();
  auto out = at::empty_like(from);
  const int64_t eights = from.numel() / 8;
  if (eights == 0) return out;
  in_eights_kernel<<<blocks_of(eights, kThreads), kThreads, 0, stream()>>>(
      reinterpret_cast<const uint4*>(numbers(from)), eights,
      reinterpret_cast<uint4*>(written(out)));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return out;
}

void cuda_clamped_swiglu(const at::Tensor& gate_up, double limit, double alpha, at::Tensor& out) {
  const int64_t rows = gate_up.size(0), inner = out.size(1);
  if (rows == 0) return;
  base::check(gate_up.is_contiguous() && out.is_contiguous(), "gates lie in dense rows");
  const c10::cuda::CUDAGuard guard(gate_up.device());
  const dim3 grid(static_cast<unsigned>(rows), blocks_of(inner, kThreads));
  const auto launch = [&](const auto* from, auto* to) {
    clamped_swiglu_kernel<<<grid, kThreads, 0, stream()>>>(
        from, static_cast<float>(limit), static_cast<float>(alpha), static_cast<int>(inner), to);
  };
  if (gate_up.scalar_type() == at::kBFloat16) {
    launch(numbers(gate_up), written(out));
  } else {
    launch(gate_up.const_data_ptr<float>(), out.data_ptr<float>());
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void cuda_weighted_sum(const at::Tensor& terms, const at::Tensor& weights, at::Tensor& out) {
  const int64_t tokens = weights.size(0), width = out.size(1);
  if (tokens == 0) return;
  base::check(width % 8 == 0 && terms.is_contiguous() && weights.is_contiguous(),
              "terms of a sum lie in dense rows of a multiple of eight numbers");
  const c10::cuda::CUDAGuard guard(out.device());
  const dim3 grid(static_cast<unsigned>(tokens), blocks_of(width, 8 * kThreads));
  const auto launch = [&](const auto* weight) {
    weighted_sum_kernel<<<grid, kThreads, 0, stream()>>>(numbers(terms), weight,
                                                         static_cast<int>(weights.size(1)),
                                                         static_cast<int>(width), written(out));
  };
  if (weights.scalar_type() == at::kBFloat16) {
    launch(numbers(weights));
  } else {
    launch(weights.const_data_ptr<float>());
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

bool cuda_decodes(const NarrowMatrix& m) {
  return m.codes.is_cuda() && m.codes.is_contiguous() && m.scales.is_contiguous() &&
         m.columns % 8 == 0 && (m.block_columns % 8 == 0 || m.block_columns >= m.columns);
}

void cuda_decode_rows(const NarrowMatrix& m, int64_t begin, at::Tensor& out) {
  const c10::cuda::CUDAGuard guard(out.device());
  const Decoded d{m.codes.const_data_ptr(),
                  m.scales.const_data_ptr(),
                  begin,
                  static_cast<int>(m.columns),
                  static_cast<int>(m.block_rows),
                  static_cast<int>(m.block_columns),
                  static_cast<int>(m.scales.size(1)),
                  written(out)};
  const dim3 grid(static_cast<unsigned>(out.size(0)), blocks_of(m.columns, 8 * kThreads));
  switch (m.format) {
    case Codes::int8:
      decode_kernel<Codes::int8><<<grid, kThreads, 0, stream()>>>(d);
      break;
    case Codes::fp8:
      decode_kernel<Codes::fp8><<<grid, kThreads, 0, stream()>>>(d);
      break;
    case Codes::int4:
      decode_kernel<Codes::int4><<<grid, kThreads, 0, stream()>>>(d);
      break;
    case Codes::mxfp4:
      decode_kernel<Codes::mxfp4><<<grid, kThreads, 0, stream()>>>(d);
      break;
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace preimage::nn
