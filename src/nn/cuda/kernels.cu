// Every kernel handles one row at a time with a number of threads and an order of summing that
// depend on the width alone: a row's bits depend neither on its neighbours nor on the number of
// rows. All are bound by memory; the bytes that each must move stand above it (s = bytes of an
// element).
//
// Arithmetic is float32. In bfloat16 the places of rounding are those of the plain forms.
#include <cfloat>

#include "cuda/elements.cuh"
#include "cuda/kernels.hpp"

namespace preimage::nn {
namespace {

// Bytes: 2 rows width s (x read, y written; the second reading of x comes from the cache) + 4 rows.
// WIDE: rounded once, after the weight; no rstd.
template <class T, int N, bool WIDE>
__global__ void rms_norm_kernel(const T* x, const T* weight, float eps, int width, T* y,
                                float* rstd) {
  __shared__ float scratch[32];
  x += static_cast<int64_t>(blockIdx.x) * width, y += static_cast<int64_t>(blockIdx.x) * width;
  const int first = static_cast<int>(threadIdx.x) * N, stride = static_cast<int>(blockDim.x) * N;
  float squares = 0;
#pragma unroll 4
  for (int i = first; i < width; i += stride) {
    const auto v = load<N>(x + i);
    for (int j = 0; j < N; ++j) squares = fmaf(wide(v.at[j]), wide(v.at[j]), squares);
  }
  const float mean = block_reduce<Add>(squares, scratch) / static_cast<float>(width);
  const float factor = 1.0f / sqrtf(mean + eps);
  if (!WIDE && threadIdx.x == 0) rstd[blockIdx.x] = factor;
#pragma unroll 4
  for (int i = first; i < width; i += stride) {
    const auto v = load<N>(x + i), w = load<N>(weight + i);
    Vec<T, N> out;
    for (int j = 0; j < N; ++j) {
      const float normed = wide(v.at[j]) * factor;
      out.at[j] = narrow<T>((WIDE ? normed : rounded<T>(normed)) * wide(w.at[j]));
    }
    store(y + i, out);
  }
}

// dx = rstd (g - n mean(g n)), g = dy weight, n = x rstd. Bytes: 3 rows width s + 4 rows.
template <class T, int N>
__global__ void rms_norm_backward_kernel(const T* dy, const T* x, const T* weight,
                                         const float* rstd, int width, T* dx) {
  __shared__ float scratch[32];
  const int64_t row = static_cast<int64_t>(blockIdx.x) * width;
  dy += row, x += row, dx += row;
  const int first = static_cast<int>(threadIdx.x) * N, stride = static_cast<int>(blockDim.x) * N;
  const float factor = rstd[blockIdx.x];
  float dots = 0;
#pragma unroll 2
  for (int i = first; i < width; i += stride) {
    const auto d = load<N>(dy + i), v = load<N>(x + i), w = load<N>(weight + i);
    for (int j = 0; j < N; ++j)
      dots = fmaf(wide(d.at[j]) * wide(w.at[j]), wide(v.at[j]) * factor, dots);
  }
  const float mean = block_reduce<Add>(dots, scratch) / static_cast<float>(width);
#pragma unroll 2
  for (int i = first; i < width; i += stride) {
    const auto d = load<N>(dy + i), v = load<N>(x + i), w = load<N>(weight + i);
    Vec<T, N> out;
    for (int j = 0; j < N; ++j) {
      const float gradient = wide(d.at[j]) * wide(w.at[j]);
      out.at[j] = narrow<T>(fmaf(-mean, wide(v.at[j]) * factor, gradient) * factor);
    }
    store(dx + i, out);
  }
}

// Bytes: 3 rows inner s.
template <class T, int N>
__global__ void swiglu_kernel(const T* gate_up, int inner, T* out) {
  const int i = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * N;
  if (i >= inner) return;
  const T* row = gate_up + static_cast<int64_t>(blockIdx.x) * 2 * inner;
  const auto gate = load<N>(row + i), up = load<N>(row + inner + i);
  Vec<T, N> result;
  for (int j = 0; j < N; ++j) {
    const float g = wide(gate.at[j]);
    result.at[j] = narrow<T>(rounded<T>(g * sigmoid<T>(g)) * wide(up.at[j]));
  }
  store(out + static_cast<int64_t>(blockIdx.x) * inner + i, result);
}

// d silu / d gate = sigmoid + silu (1 - sigmoid). Bytes: 5 rows inner s.
template <class T, int N>
__global__ void swiglu_backward_kernel(const T* d_out, const T* gate_up, int inner, T* d_gate_up) {
  const int i = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x) * N;
  if (i >= inner) return;
  const int64_t row = static_cast<int64_t>(blockIdx.x) * 2 * inner;
  const auto gate = load<N>(gate_up + row + i), up = load<N>(gate_up + row + inner + i);
  const auto gradient = load<N>(d_out + row / 2 + i);
  Vec<T, N> d_gate, d_up;
  for (int j = 0; j < N; ++j) {
    const float g = wide(gate.at[j]), d = wide(gradient.at[j]);
    const float s = sigmoid<T>(g), silu = g * s;
    d_gate.at[j] = narrow<T>(d * wide(up.at[j]) * fmaf(silu, 1.0f - s, s));
    d_up.at[j] = narrow<T>(d * rounded<T>(silu));
  }
  store(d_gate_up + row + i, d_gate);
  store(d_gate_up + row + inner + i, d_up);
}

struct RotaryShape {
  int width, half, rotated_heads;
  float direction;
};

// One thread turns N pairs (j, j + half) of a head, or copies N elements beyond the rotated heads.
// cos, sin and the products are rounded to T; no product is fused into the sum. Bytes: 2 rows width
// s + the table's rows (2 half 4 a row, mostly from the cache).
template <class T, int N>
__global__ void rotary_kernel(const T* x, const float* cos, const float* sin,
                              const int64_t* positions, RotaryShape shape, T* out) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * shape.width;
  x += row, out += row;
  const int half = shape.half, parts = half / N, turned = shape.rotated_heads * parts;
  const int units = turned + (shape.width - shape.rotated_heads * 2 * half) / N;
  cos += positions[blockIdx.x] * half, sin += positions[blockIdx.x] * half;
  for (int unit = static_cast<int>(threadIdx.x); unit < units;
       unit += static_cast<int>(blockDim.x)) {
    if (unit >= turned) {
      const int i = turned * 2 * N + (unit - turned) * N;
      store(out + i, load<N>(x + i));
      continue;
    }
    const int j = unit % parts * N, i = unit / parts * 2 * half + j;
    const auto u = load<N>(x + i), v = load<N>(x + i + half);
    Vec<T, N> first, second;
    for (int l = 0; l < N; ++l) {
      const float c = rounded<T>(cos[j + l]), s = shape.direction * rounded<T>(sin[j + l]);
      const float a = wide(u.at[l]), b = wide(v.at[l]);
      first.at[l] = narrow<T>(__fsub_rn(rounded<T>(__fmul_rn(a, c)), rounded<T>(__fmul_rn(b, s))));
      second.at[l] = narrow<T>(__fadd_rn(rounded<T>(__fmul_rn(b, c)), rounded<T>(__fmul_rn(a, s))));
    }
    store(out + i, first);
    store(out + i + half, second);
  }
}

constexpr int kVocabularyThreads = 1024;

// A running maximum and the sum of exponentials below it, then one pass that writes. Bytes: 2 rows
// vocabulary s without the gradient's writing; with it 3, of which the second reading finds part of
// its row in the L2 (a row of 152,064 bfloat16 has 304 kB; 132 rows in flight have 40 MB).
template <class T, int N>
__global__ void __launch_bounds__(kVocabularyThreads)
    softmax_nll_kernel(T* logits, const int64_t* targets, const float* weights, int vocabulary,
                       bool gradient, float* nll) {
  __shared__ float scratch[32];
  T* row = logits + static_cast<int64_t>(blockIdx.x) * vocabulary;
  const int target = static_cast<int>(targets[blockIdx.x]);
  const float target_logit = wide(row[target]);
  const int first = static_cast<int>(threadIdx.x) * N, stride = kVocabularyThreads * N;
  float top = -FLT_MAX, sum = 0;
#pragma unroll 4
  for (int i = first; i < vocabulary; i += stride) {
    const auto v = load<N>(row + i);
    float higher = top;
    for (int j = 0; j < N; ++j) higher = fmaxf(higher, wide(v.at[j]));
    sum *= exponential<T>(top - higher);
    for (int j = 0; j < N; ++j) sum += exponential<T>(wide(v.at[j]) - higher);
    top = higher;
  }
  const float row_top = block_reduce<Max>(top, scratch);
  const float row_sum = block_reduce<Add>(sum * exponential<T>(top - row_top), scratch);
  if (threadIdx.x == 0) nll[blockIdx.x] = logf(row_sum) - (target_logit - row_top);
  if (!gradient) return;
  const float weight = weights[blockIdx.x], factor = weight / row_sum;
#pragma unroll 4
  for (int i = first; i < vocabulary; i += stride) {
    auto v = load<N>(row + i);
    for (int j = 0; j < N; ++j) {
      const float p = factor * exponential<T>(wide(v.at[j]) - row_top);
      v.at[j] = narrow<T>(i + j == target ? p - weight : p);
    }
    store(row + i, v);
  }
}

// Sums of h u over a sample's rows, one column to a thread: kSampleLanes chains, lane l over rows
// l, l + kSampleLanes, ... of the sample, then the lanes in order. Bytes: 2 rows width s.
constexpr int kSampleLanes = 16, kSamplesAtOnce = 64;

struct SampleRows {  // travels with the launch: no copy to the device in the middle of a pass
  int64_t offsets[kSamplesAtOnce + 1];
};

template <class T>
__global__ void sample_products_kernel(const T* h, const T* u, SampleRows rows, int width,
                                       float* out) {
  __shared__ float lanes[kSampleLanes][32];
  const int column = static_cast<int>(blockIdx.x * 32 + threadIdx.x);
  const int64_t end = rows.offsets[blockIdx.y + 1];
  float sum = 0;
  if (column < width) {
#pragma unroll 4
    for (int64_t row = rows.offsets[blockIdx.y] + threadIdx.y; row < end; row += kSampleLanes)
      sum = fmaf(wide(h[row * width + column]), wide(u[row * width + column]), sum);
  }
  lanes[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y > 0 || column >= width) return;
  for (int lane = 1; lane < kSampleLanes; ++lane) sum += lanes[lane][threadIdx.x];
  out[static_cast<int64_t>(blockIdx.y) * width + column] = sum;
}

}  // namespace

namespace {

// A null rstd: the wide form.
void launch_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y,
                     at::Tensor* rstd) {
  if (x.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t width = x.size(1);
  for_element(x, width, [&](auto element, auto lanes) {
    using T = typename decltype(element)::type;
    constexpr int kLanes = decltype(lanes)::value;
    const auto kernel = rstd ? rms_norm_kernel<T, kLanes, false> : rms_norm_kernel<T, kLanes, true>;
    kernel<<<grid_of(x.size(0)), block_of(width / kLanes, 256), 0, stream_of(x)>>>(
        read<T, kLanes>(x), read<T, kLanes>(weight), static_cast<float>(eps),
        static_cast<int>(width), written<T, kLanes>(y), rstd ? written<float>(*rstd) : nullptr);
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace

void cuda_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y,
                   at::Tensor& rstd) {
  launch_rms_norm(x, weight, eps, y, &rstd);
}

void cuda_wide_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& y) {
  launch_rms_norm(x, weight, eps, y, nullptr);
}

void cuda_rms_norm_backward(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& rstd, at::Tensor& dx) {
  if (x.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t width = x.size(1);
  for_element(x, width, [&](auto element, auto lanes) {
    using T = typename decltype(element)::type;
    constexpr int kLanes = decltype(lanes)::value;
    rms_norm_backward_kernel<T, kLanes>
        <<<grid_of(x.size(0)), block_of(width / kLanes, 256), 0, stream_of(x)>>>(
            read<T, kLanes>(dy), read<T, kLanes>(x), read<T, kLanes>(weight), read<float>(rstd),
            static_cast<int>(width), written<T, kLanes>(dx));
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void cuda_swiglu(const at::Tensor& gate_up, at::Tensor& out) {
  if (gate_up.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(gate_up.device());
  const int64_t inner = out.size(1);
  for_element(gate_up, inner, [&](auto element, auto lanes) {
    using T = typename decltype(element)::type;
    constexpr int kLanes = decltype(lanes)::value;
    const unsigned threads = block_of(inner / kLanes, 256);
    const dim3 grid(grid_of(gate_up.size(0)),
                    static_cast<unsigned>((inner / kLanes + threads - 1) / threads));
    swiglu_kernel<T, kLanes><<<grid, threads, 0, stream_of(gate_up)>>>(
        read<T, kLanes>(gate_up), static_cast<int>(inner), written<T, kLanes>(out));
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void cuda_swiglu_backward(const at::Tensor& d_out, const at::Tensor& gate_up,
                          at::Tensor& d_gate_up) {
  if (gate_up.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(gate_up.device());
  const int64_t inner = d_out.size(1);
  for_element(gate_up, inner, [&](auto element, auto lanes) {
    using T = typename decltype(element)::type;
    constexpr int kLanes = decltype(lanes)::value;
    const unsigned threads = block_of(inner / kLanes, 256);
    const dim3 grid(grid_of(gate_up.size(0)),
                    static_cast<unsigned>((inner / kLanes + threads - 1) / threads));
    swiglu_backward_kernel<T, kLanes><<<grid, threads, 0, stream_of(gate_up)>>>(
        read<T, kLanes>(d_out), read<T, kLanes>(gate_up), static_cast<int>(inner),
        written<T, kLanes>(d_gate_up));
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void cuda_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                 const at::Tensor& positions, int64_t rotated_heads, float direction,
                 at::Tensor& out) {
  if (x.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(x.device());
  const int64_t half = cos.size(1), width = x.size(1);
  const RotaryShape shape{static_cast<int>(width), static_cast<int>(half),
                          static_cast<int>(rotated_heads), direction};
  for_element(x, half | width, [&](auto element, auto lanes) {
    using T = typename decltype(element)::type;
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t units = (width - rotated_heads * half) / kLanes;
    rotary_kernel<T, kLanes><<<grid_of(x.size(0)), block_of(units, 512), 0, stream_of(x)>>>(
        read<T, kLanes>(x), read<float>(cos), read<float>(sin), positions.const_data_ptr<int64_t>(),
        shape, written<T, kLanes>(out));
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void cuda_softmax_nll(at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights,
                      bool gradient, at::Tensor& nll) {
  if (logits.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(logits.device());
  const int64_t vocabulary = logits.size(1);
  for_element(logits, vocabulary, [&](auto element, auto lanes) {
    using T = typename decltype(element)::type;
    constexpr int kLanes = decltype(lanes)::value;
    softmax_nll_kernel<T, kLanes>
        <<<grid_of(logits.size(0)), kVocabularyThreads, 0, stream_of(logits)>>>(
            written<T, kLanes>(logits), targets.const_data_ptr<int64_t>(),
            weights.const_data_ptr<float>(), static_cast<int>(vocabulary), gradient,
            nll.data_ptr<float>());
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

void cuda_sample_products(const at::Tensor& h, const at::Tensor& u,
                          const std::vector<int64_t>& offsets, at::Tensor& out) {
  const c10::cuda::CUDAGuard guard(h.device());
  const auto width = static_cast<int>(h.size(1)), samples = static_cast<int>(offsets.size()) - 1;
  if (width == 0) return;
  for_element(h, 1, [&](auto element, auto) {
    using T = typename decltype(element)::type;
    for (int first = 0; first < samples; first += kSamplesAtOnce) {
      SampleRows rows{};
      const int count = std::min(kSamplesAtOnce, samples - first);
      std::copy_n(offsets.begin() + first, count + 1, rows.offsets);
      sample_products_kernel<T>
          <<<dim3(static_cast<unsigned>((width + 31) / 32), static_cast<unsigned>(count)),
             dim3(32, kSampleLanes), 0, stream_of(h)>>>(
              read<T>(h), read<T>(u), rows, width,
              written<float>(out) + static_cast<int64_t>(first) * width);
    }
  });
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace preimage::nn
