#include "preimage/nn/choose_tokens.hpp"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_bf16.h>

#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

constexpr int kThreads = 512;
constexpr float kLog2e = 1.4426950408889634f;
constexpr float kOne = 0x1p44f;  // of the fixed-point weights: 2^18 of them fit 64 bits

struct Row {
  const uint16_t* logits;  // bits of bfloat16
  int size;
};

__device__ inline float value_of(uint16_t bits) {
  return __uint_as_float(static_cast<uint32_t>(bits) << 16);
}
// Ordered like the values.
__device__ inline uint32_t key_of(uint16_t bits) {
  return bits & 0x8000 ? 0xFFFF & ~bits : bits | 0x8000;
}

template <class T, class Join>
__device__ T reduce(T mine, const Join& join) {
  __shared__ T cells[kThreads];
  __syncthreads();
  cells[threadIdx.x] = mine;
  for (int width = kThreads / 2; width > 0; width /= 2) {
    __syncthreads();
    if (threadIdx.x < width)
      cells[threadIdx.x] = join(cells[threadIdx.x], cells[threadIdx.x + width]);
  }
  __syncthreads();
  return cells[0];
}

template <class Measure>
__device__ uint64_t total(const Row& row, const Measure& measure) {
  uint64_t sum = 0;
  for (int i = threadIdx.x; i < row.size; i += kThreads) sum += measure(row.logits[i]);
  return reduce(sum, [](uint64_t a, uint64_t b) { return a + b; });
}

// The largest key such that the measure of the tokens from it on reaches `target`.
template <class Measure>
__device__ uint32_t edge(const Row& row, uint64_t target, const Measure& measure) {
  uint32_t key = 0;
  for (uint32_t bit = 0x8000; bit > 0; bit /= 2) {
    const uint32_t next = key | bit;
    const auto above = [&](uint16_t bits) { return key_of(bits) >= next ? measure(bits) : 0; };
    if (total(row, above) >= target) key = next;
  }
  return key;
}

// The first id whose cumulative weight exceeds `place`.
template <class Weigh>
__device__ int token_at(const Row& row, uint64_t place, const Weigh& weigh) {
  __shared__ uint64_t before[kThreads + 1];
  __shared__ int found;
  const int part = (row.size + kThreads - 1) / kThreads;
  const int begin = min(row.size, static_cast<int>(threadIdx.x) * part);
  const int end = min(row.size, begin + part);
  uint64_t mine = 0;
  for (int i = begin; i < end; ++i) mine += weigh(row.logits[i]);
  before[threadIdx.x + 1] = mine;
  __syncthreads();
  if (threadIdx.x == 0) {
    before[0] = 0;
    for (int i = 0; i < kThreads; ++i) before[i + 1] += before[i];
  }
  __syncthreads();
  if (mine > 0 && before[threadIdx.x] <= place && place < before[threadIdx.x + 1]) {
    uint64_t left = place - before[threadIdx.x];
    for (int i = begin; i < end; ++i) {
      const uint64_t weight = weigh(row.logits[i]);
      if (left < weight) {
        found = i;
        break;
      }
      left -= weight;
    }
  }
  __syncthreads();
  return found;
}

struct Rule {
  float temperature, top_k, top_p, log_min_p;
};

__device__ int sample(const Row& row, const Rule& rule, float best, double uniform) {
  const float slope = kLog2e / rule.temperature;
  const auto weigh = [&](uint16_t bits) {
    return static_cast<uint64_t>(exp2f((value_of(bits) - best) * slope) * kOne);
  };
  uint32_t least = 0;
  if (rule.top_k > 0 && rule.top_k < static_cast<float>(row.size))
    least = edge(row, static_cast<uint64_t>(rule.top_k), [](uint16_t) { return uint64_t{1}; });
  const auto kept = [&](uint16_t bits) { return key_of(bits) >= least ? weigh(bits) : 0; };
  if (rule.top_p < 1) {
    const auto wanted = static_cast<uint64_t>(static_cast<double>(total(row, kept)) *
                                              static_cast<double>(rule.top_p));
    const uint32_t by_weight = edge(row, max(wanted, uint64_t{1}), kept);
    least = max(least, by_weight);
  }
  const float lowest = best + rule.log_min_p * rule.temperature;
  const auto final_weight = [&](uint16_t bits) {
    return value_of(bits) >= lowest ? kept(bits) : 0;
  };
  const uint64_t all = total(row, final_weight);
  const auto place = static_cast<uint64_t>(uniform * static_cast<double>(all));
  return token_at(row, min(place, all - 1), final_weight);
}

// One block for each row.
__global__ void __launch_bounds__(kThreads)
    choose_kernel(const uint16_t* logits, int vocabulary, const Rule* rules, const double* uniforms,
                  const int64_t* slots, int64_t* last, int64_t* ids, float* logprobs) {
  const int64_t at = blockIdx.x;
  const Row row{logits + at * vocabulary, vocabulary};
  uint64_t mine = 0;  // the largest key, and of a tie the lowest id
  for (int i = threadIdx.x; i < vocabulary; i += kThreads) {
    const uint64_t candidate =
        static_cast<uint64_t>(key_of(row.logits[i])) << 32 | ~static_cast<uint32_t>(i);
    mine = max(mine, candidate);
  }
  const uint64_t top = reduce(mine, [](uint64_t a, uint64_t b) { return max(a, b); });
  int id = static_cast<int>(~static_cast<uint32_t>(top));
  const float best = value_of(row.logits[id]);
  float sum = 0;
  for (int i = threadIdx.x; i < vocabulary; i += kThreads)
    sum += exp2f((value_of(row.logits[i]) - best) * kLog2e);
  sum = reduce(sum, [](float a, float b) { return a + b; });
  const Rule rule = rules[at];
  if (rule.temperature > 0) id = sample(row, rule, best, uniforms[at]);
  if (threadIdx.x == 0) {
    ids[at] = id;
    logprobs[at] = value_of(row.logits[id]) - best - logf(sum);
    last[slots[at]] = id;
  }
}

}  // namespace

void choose_tokens(const at::Tensor& logits, const TokenChoice& choice, const at::Tensor& slots,
                   at::Tensor& last, ChosenTokens& out) {
  base::check(logits.is_cuda() && logits.is_contiguous() && logits.scalar_type() == at::kBFloat16 &&
                  logits.size(1) <= (1 << 18) && choice.rules.is_contiguous(),
              "tokens are chosen from rows of bfloat16 logits of at most 262,144 tokens");
  if (logits.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(logits.device());
  choose_kernel<<<static_cast<unsigned>(logits.size(0)), kThreads, 0,
                  at::cuda::getCurrentCUDAStream()>>>(
      reinterpret_cast<const uint16_t*>(logits.const_data_ptr<at::BFloat16>()),
      static_cast<int>(logits.size(1)),
      reinterpret_cast<const Rule*>(choice.rules.const_data_ptr<float>()),
      choice.uniforms.const_data_ptr<double>(), slots.const_data_ptr<int64_t>(),
      last.data_ptr<int64_t>(), out.ids.data_ptr<int64_t>(), out.logprobs.data_ptr<float>());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace preimage::nn
