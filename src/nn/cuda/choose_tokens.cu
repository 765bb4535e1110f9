#include "preimage/nn/choose_tokens.hpp"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_bf16.h>

#include <climits>

#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

constexpr int kThreads = 512;
constexpr float kLog2e = 1.4426950408889634f;
constexpr float kOne = 0x1p44f;  // of the fixed-point weights: 2^18 of them fit 64 bits
constexpr double kNearlyOne =
    1 - 0x1p-40;  // the share of top_p that must be reached, as on the CPU

// BITS: uint16_t, those of bfloat16, or uint32_t, those of float32.
template <class BITS>
struct Row {
  const BITS* logits;
  int size;
  int best;  // the lowest id of the largest
};

__device__ inline float value_of(uint16_t bits) {
  return __uint_as_float(static_cast<uint32_t>(bits) << 16);
}
__device__ inline float value_of(uint32_t bits) {
  return __uint_as_float(bits);
}
// Ordered like the values.
__device__ inline uint32_t key_of(uint16_t bits) {
  return bits & 0x8000 ? 0xFFFF & ~bits : bits | 0x8000;
}
__device__ inline uint32_t key_of(uint32_t bits) {
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
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

template <class BITS, class Measure>
__device__ uint64_t total(const Row<BITS>& row, const Measure& measure) {
  uint64_t sum = 0;
  for (int i = threadIdx.x; i < row.size; i += kThreads) sum += measure(row.logits[i], i);
  return reduce(sum, [](uint64_t a, uint64_t b) { return a + b; });
}

// The largest key such that the measure of the tokens from it on reaches `target`.
template <class BITS, class Measure>
__device__ uint32_t edge(const Row<BITS>& row, uint64_t target, const Measure& measure) {
  uint32_t key = 0;
  for (uint32_t bit = 1u << (8 * sizeof(BITS) - 1); bit > 0; bit /= 2) {
    const uint32_t next = key | bit;
    const auto above = [&](BITS bits, int i) {
      return key_of(bits) >= next ? measure(bits, i) : 0;
    };
    if (total(row, above) >= target) key = next;
  }
  return key;
}

// The first id whose cumulative weight exceeds `place`.
template <class BITS, class Weigh>
__device__ int token_at(const Row<BITS>& row, uint64_t place, const Weigh& weigh) {
  __shared__ uint64_t before[kThreads + 1];
  __shared__ int found;
  const int part = (row.size + kThreads - 1) / kThreads;
  const int begin = min(row.size, static_cast<int>(threadIdx.x) * part);
  const int end = min(row.size, begin + part);
  uint64_t mine = 0;
  for (int i = begin; i < end; ++i) mine += weigh(row.logits[i], i);
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
      const uint64_t weight = weigh(row.logits[i], i);
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
  float temperature, top_k, log_min_p;
};

// What may be chosen: keys above `key`, and of those equal to it the ids up to `last`.
struct Edge {
  uint32_t key = 0;
  int last = INT_MAX;
  template <class BITS>
  __device__ bool keeps(BITS bits, int id) const {
    const uint32_t own = key_of(bits);
    return own > key || (own == key && id <= last);
  }
};

// The best tokens whose weight reaches `wanted`, the lowest ids of a tie at their end.
template <class BITS, class Weigh>
__device__ Edge edge_of_weight(const Row<BITS>& row, uint64_t wanted, const Weigh& weigh) {
  const uint32_t key = edge(row, wanted, weigh);
  const uint64_t above = total(
      row, [&](BITS bits, int i) { return key_of(bits) > key ? weigh(bits, i) : uint64_t{0}; });
  const auto tied = [&](BITS bits, int) { return uint64_t{key_of(bits) == key}; };
  const uint64_t ties = total(row, tied);
  const uint64_t weight =
      total(row,
            [&](BITS bits, int i) { return key_of(bits) == key ? weigh(bits, i) : uint64_t{0}; }) /
      ties;  // of each alike
  const uint64_t needed = (wanted - above + weight - 1) / weight;
  return {key, token_at(row, min(needed, ties) - 1, tied)};
}

template <class BITS>
__device__ int sample(const Row<BITS>& row, const Rule& rule, double top_p, double uniform) {
  const float best = value_of(row.logits[row.best]);
  const float slope = kLog2e / rule.temperature;
  const auto weigh = [&](BITS bits) {
    return static_cast<uint64_t>(exp2f((value_of(bits) - best) * slope) * kOne);
  };
  Edge kept;
  if (rule.top_k > 0 && rule.top_k < static_cast<float>(row.size)) {
    kept.key = edge(row, static_cast<uint64_t>(rule.top_k), [](BITS, int) { return uint64_t{1}; });
  }
  const auto kept_weight = [&](BITS bits, int i) { return kept.keeps(bits, i) ? weigh(bits) : 0; };
  if (top_p < 1) {
    const auto wanted =
        static_cast<uint64_t>(static_cast<double>(total(row, kept_weight)) * top_p * kNearlyOne);
    kept = edge_of_weight(row, max(wanted, uint64_t{1}), kept_weight);
  }
  const float lowest = best + rule.log_min_p * rule.temperature;
  const auto final_weight = [&](BITS bits, int i) {
    return value_of(bits) >= lowest ? kept_weight(bits, i) : 0;
  };
  const uint64_t all = total(row, final_weight);
  const auto place = static_cast<uint64_t>(uniform * static_cast<double>(all));
  return token_at(row, min(place, all - 1), final_weight);
}

struct Written {
  int64_t *last, *ids;
  float* logprobs;
  int64_t* best_ids;  // two a row, or null
  float* best_logprobs;
};

// One block for each row.
template <class BITS>
__global__ void __launch_bounds__(kThreads)
    choose_kernel(const BITS* logits, int vocabulary, const Rule* rules, const double* top_ps,
                  const double* uniforms, const int64_t* slots, Written out) {
  const int64_t at = blockIdx.x;
  Row<BITS> row{logits + at * vocabulary, vocabulary, 0};
  uint64_t mine = 0, second = 0;  // the largest key, and of a tie the lowest id; the next of both
  for (int i = threadIdx.x; i < vocabulary; i += kThreads) {
    const uint64_t candidate =
        static_cast<uint64_t>(key_of(row.logits[i])) << 32 | ~static_cast<uint32_t>(i);
    second = max(second, min(mine, candidate));
    mine = max(mine, candidate);
  }
  const auto larger = [](uint64_t a, uint64_t b) { return max(a, b); };
  const uint64_t top = reduce(mine, larger);
  const uint64_t next = reduce(mine == top ? second : mine, larger);
  int id = row.best = static_cast<int>(~static_cast<uint32_t>(top));
  const float best = value_of(row.logits[id]);
  float sum = 0;
  for (int i = threadIdx.x; i < vocabulary; i += kThreads)
    sum += exp2f((value_of(row.logits[i]) - best) * kLog2e);
  sum = reduce(sum, [](float a, float b) { return a + b; });
  const Rule rule = rules[at];
  if (rule.temperature > 0) id = sample(row, rule, top_ps[at], uniforms[at]);
  if (threadIdx.x == 0) {
    out.ids[at] = id;
    out.logprobs[at] = value_of(row.logits[id]) - best - logf(sum);
    out.last[slots[at]] = id;
    if (out.best_ids == nullptr) return;
    const int behind = vocabulary > 1 ? static_cast<int>(~static_cast<uint32_t>(next)) : -1;
    out.best_ids[2 * at] = row.best, out.best_ids[2 * at + 1] = behind;
    out.best_logprobs[2 * at] = -logf(sum);
    out.best_logprobs[2 * at + 1] =
        behind < 0 ? -INFINITY : value_of(row.logits[behind]) - best - logf(sum);
  }
}

}  // namespace

void choose_tokens(const at::Tensor& logits, const TokenChoice& choice, const at::Tensor& slots,
                   at::Tensor& last, ChosenTokens& out) {
  base::check(
      logits.is_cuda() && logits.is_contiguous() &&
          (logits.scalar_type() == at::kBFloat16 || logits.scalar_type() == at::kFloat) &&
          logits.size(1) <= (1 << 18) && choice.rules.is_contiguous(),
      "tokens are chosen from rows of bfloat16 or float32 logits of at most 262,144 tokens");
  if (logits.size(0) == 0) return;
  const c10::cuda::CUDAGuard guard(logits.device());
  const bool best = out.best_ids.defined();
  base::check(!best || (out.best_ids.is_contiguous() && out.best_logprobs.is_contiguous()),
              "the two best tokens of a row lie side by side");
  const Written written{last.data_ptr<int64_t>(), out.ids.data_ptr<int64_t>(),
                        out.logprobs.data_ptr<float>(),
                        best ? out.best_ids.data_ptr<int64_t>() : nullptr,
                        best ? out.best_logprobs.data_ptr<float>() : nullptr};
  const auto launch = [&](const auto* bits) {
    choose_kernel<<<static_cast<unsigned>(logits.size(0)), kThreads, 0,
                    at::cuda::getCurrentCUDAStream()>>>(
        bits, static_cast<int>(logits.size(1)),
        reinterpret_cast<const Rule*>(choice.rules.const_data_ptr<float>()),
        choice.top_p.const_data_ptr<double>(), choice.uniforms.const_data_ptr<double>(),
        slots.const_data_ptr<int64_t>(), written);
  };
  if (logits.scalar_type() == at::kBFloat16) {
    launch(reinterpret_cast<const uint16_t*>(logits.const_data_ptr()));
  } else {
    launch(reinterpret_cast<const uint32_t*>(logits.const_data_ptr()));
  }
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

}  // namespace preimage::nn
