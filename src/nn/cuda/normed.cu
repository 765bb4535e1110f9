// Norms in one kernel with what stands before or behind them, without a gradient: at few rows a
// decode step is as long as its number of kernels. Bits are those of the kernels one by one.
#include "cuda/elements.cuh"
#include "cuda/kernels.hpp"

namespace preimage::nn {
namespace {

// sum = x + y, normed = rms_norm(sum) weight. The sum stays in registers between the two passes.
// Bytes: 4 rows width s.
constexpr int kNormThreads = 256;
constexpr int kMostParts = 8;  // accesses of a thread

template <class T, int N, bool WIDE>
__global__ void __launch_bounds__(kNormThreads)
    add_rms_norm_kernel(const T* x, const T* y, const T* weight, float eps, int width, T* sum,
                        T* normed) {
  __shared__ float scratch[32];
  const int64_t row = static_cast<int64_t>(blockIdx.x) * width;
  x += row, y += row, sum += row, normed += row;
  const int first = static_cast<int>(threadIdx.x) * N, stride = static_cast<int>(blockDim.x) * N;
  Vec<T, N> added[kMostParts];
  float squares = 0;
#pragma unroll
  for (int part = 0; part < kMostParts; ++part) {
    const int i = first + part * stride;
    if (i >= width) break;
    const auto a = load<N>(x + i), b = load<N>(y + i);
    for (int j = 0; j < N; ++j) {
      added[part].at[j] = narrow<T>(wide(a.at[j]) + wide(b.at[j]));
      squares = fmaf(wide(added[part].at[j]), wide(added[part].at[j]), squares);
    }
    store(sum + i, added[part]);
  }
  const float mean = block_reduce<Add>(squares, scratch) / static_cast<float>(width);
  const float factor = 1.0f / sqrtf(mean + eps);
#pragma unroll
  for (int part = 0; part < kMostParts; ++part) {
    const int i = first + part * stride;
    if (i >= width) break;
    const auto w = load<N>(weight + i);
    Vec<T, N> out;
    for (int j = 0; j < N; ++j) {
      const float own = wide(added[part].at[j]) * factor;
      out.at[j] = narrow<T>((WIDE ? own : rounded<T>(own)) * wide(w.at[j]));
    }
    store(normed + i, out);
  }
}

struct HeadShape {
  int width, size, query_heads, heads;  // heads: those that are normed and turned
  float eps;
};

// A head of queries or keys: normed, then turned by its token's angle, in place. LANES threads hold
// eight numbers each; a pair (j, j + size / 2) lies LANES / 2 threads apart. Sums are those of
// rms_norm_kernel: a butterfly, whose first steps added zeros there.
template <int LANES>
__global__ void normed_rotary_kernel(bf16* x, const bf16* query_weight, const bf16* key_weight,
                                     const float* cos, const float* sin, const int64_t* positions,
                                     int64_t tokens, HeadShape shape) {
  constexpr int kHalf = LANES / 2 * 8;
  const int64_t task = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / LANES;
  const int lane = threadIdx.x % LANES;
  // All threads of a warp stay for the exchanges.
  const bool there = task < tokens * shape.heads;
  const int64_t token = there ? task / shape.heads : 0;
  const int head = there ? static_cast<int>(task % shape.heads) : 0;
  bf16* own = x + token * shape.width + head * shape.size + lane * 8;
  const auto raw = load<8>(own);
  float v[8], squares = 0;
  for (int j = 0; j < 8; ++j) v[j] = wide(raw.at[j]), squares = fmaf(v[j], v[j], squares);
  for (int step = LANES / 2; step > 0; step /= 2) squares += __shfl_xor_sync(~0u, squares, step);
  const float factor = 1.0f / sqrtf(squares / static_cast<float>(shape.size) + shape.eps);
  const auto weight = load<8>((head < shape.query_heads ? query_weight : key_weight) + lane * 8);
  const int64_t angle = positions[token] * kHalf + lane * 8 % kHalf;
  const bool low = lane < LANES / 2;
  Vec<bf16, 8> out;
  for (int j = 0; j < 8; ++j) {
    const float a = rounded<bf16>(rounded<bf16>(v[j] * factor) * wide(weight.at[j]));
    const float b = __shfl_xor_sync(~0u, a, LANES / 2);
    const float c = rounded<bf16>(cos[angle + j]), s = rounded<bf16>(sin[angle + j]);
    const float straight = rounded<bf16>(__fmul_rn(a, c)), across = rounded<bf16>(__fmul_rn(b, s));
    out.at[j] = narrow<bf16>(low ? __fsub_rn(straight, across) : __fadd_rn(straight, across));
  }
  if (there) store(own, out);
}

}  // namespace

bool cuda_add_rms_norm_supports(const at::Tensor& x) {
  const int64_t width = x.size(1), lanes = x.scalar_type() == at::kBFloat16 ? 8 : 4;
  return (x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat) &&
         width % lanes == 0 && width <= kNormThreads * kMostParts * lanes;
}

void cuda_add_rms_norm(const AddedNorm& call, at::Tensor& sum, at::Tensor& normed) {
  const auto& x = call.x;
  if (x.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t width = x.size(1);
  for_element(x, width, [&](auto element, auto lanes) {
    using T = typename decltype(element)::type;
    constexpr int kLanes = decltype(lanes)::value;
    const auto kernel =
        call.wide ? add_rms_norm_kernel<T, kLanes, true> : add_rms_norm_kernel<T, kLanes, false>;
    kernel<<<grid_of(x.size(0)), block_of(width / kLanes, kNormThreads), 0, stream_of(x)>>>(
        read<T, kLanes>(x), read<T, kLanes>(call.y), read<T, kLanes>(call.weight),
        static_cast<float>(call.eps), static_cast<int>(width), written<T, kLanes>(sum),
        written<T, kLanes>(normed));
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

bool cuda_normed_rotary_supports(const at::Tensor& qkv, int64_t head_dim) {
  return qkv.scalar_type() == at::kBFloat16 && qkv.is_contiguous() && qkv.size(1) % 8 == 0 &&
         (head_dim == 64 || head_dim == 128 || head_dim == 256);
}

void cuda_normed_rotary(const TurnedHeads& call, at::Tensor& qkv) {
  const int64_t tokens = qkv.size(0), heads = call.query_heads + call.key_heads;
  if (tokens == 0) return;
  const c10::cuda::CUDAGuard guard(qkv.device());
  const int64_t size = call.query_weight.size(0);
  const HeadShape shape{static_cast<int>(qkv.size(1)), static_cast<int>(size),
                        static_cast<int>(call.query_heads), static_cast<int>(heads),
                        static_cast<float>(call.eps)};
  base::check(call.cos.size(1) == size / 2, "the table turns whole heads");
  const auto launch = [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value, kThreads = 256;
    const int64_t blocks = (tokens * heads * kLanes + kThreads - 1) / kThreads;
    normed_rotary_kernel<kLanes><<<grid_of(blocks), kThreads, 0, stream_of(qkv)>>>(
        written<bf16, 8>(qkv), read<bf16, 8>(call.query_weight), read<bf16, 8>(call.key_weight),
        read<float>(call.cos), read<float>(call.sin), call.positions.const_data_ptr<int64_t>(),
        tokens, shape);
  };
  if (size == 64) launch(std::integral_constant<int, 8>());
  if (size == 128) launch(std::integral_constant<int, 16>());
  if (size == 256) launch(std::integral_constant<int, 32>());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace preimage::nn
