#include "cpu/kernels.hpp"

#include <array>
#include <cstdlib>
#include <string_view>

namespace preimage::lipo {
namespace {

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

const CpuKernels& choose() {
  if (const char* wanted = std::getenv("PREIMAGE_CPU_KERNELS")) {
    for (const auto* const* table = all_cpu_kernels(); *table; ++table)
      if (std::string_view((*table)->name) == wanted) return **table;
  }
  return **all_cpu_kernels();
}

}  // namespace

const CpuKernels& cpu_kernels() {
  static const CpuKernels& chosen = choose();
  return chosen;
}

const CpuKernels* const* all_cpu_kernels() {
  static const Tables tables = find_tables();
  return tables.data();
}

}  // namespace preimage::lipo
