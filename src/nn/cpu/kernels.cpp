#include "cpu/kernels.hpp"

#include <array>
#include <cstdlib>
#include <string_view>

namespace preimage::nn {
namespace {

constexpr int64_t kQueryBlock = 32;  // as in cpu_kernels.inc

using Tables = std::array<const CpuKernels*, 4>;

Tables find_tables() {
  Tables tables{};
  size_t count = 0;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")) {
    tables[count++] = &avx512_kernels;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    tables[count++] = &avx2_kernels;
  tables[count++] = &scalar_kernels;
  return tables;
}

const Tables tables = find_tables();

const CpuKernels& choose() {
  if (const char* wanted = std::getenv("PREIMAGE_CPU_KERNELS")) {
    for (const auto* table : tables) {
      if (table && std::string_view(table->name) == wanted) return *table;
    }
  }
  return *tables[0];
}

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
  static const CpuKernels& chosen = choose();
  return chosen;
}

const CpuKernels* const* all_cpu_kernels() {
  return tables.data();
}

}  // namespace preimage::nn
