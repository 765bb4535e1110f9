#include "cpu/kernels.hpp"

#include "preimage/base/instruction_sets.hpp"

namespace preimage::nn {
namespace {

constexpr int64_t kQueryBlock = 32;  // as in cpu_kernels.inc

}  // namespace

int64_t attention_scratch(int64_t keys, int64_t group, int64_t widest_head) {
  const int64_t padded = (keys + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
  return kKeyBlock * widest_head + 2 * kQueryBlock * group * padded;
}

int64_t biased_scratch(int64_t keys, int64_t head_dim) {
  constexpr int64_t kRows = 32;  // as in cpu_biased_attention.inc
  return 16 * head_dim + kRows * ((keys + 15) / 16 * 16);
}

const CpuKernels& cpu_kernels() {
  static const CpuKernels& chosen = base::chosen_table(all_cpu_kernels());
  return chosen;
}

const CpuKernels* const* all_cpu_kernels() {
  static const auto tables = base::runnable_tables(avx512_kernels, avx2_kernels, scalar_kernels);
  return tables.data();
}

}  // namespace preimage::nn
