// Kernels that are compiled for several instruction sets and chosen at run time.
#pragma once

#include <array>
#include <cstdlib>
#include <string_view>

namespace preimage::base {

// What this processor can run of three tables of kernels, the widest first, ended by null. A table
// has a `name`.
template <class Table>
std::array<const Table*, 4> runnable_tables(const Table& avx512, const Table& avx2,
                                            const Table& scalar) {
  std::array<const Table*, 4> tables{};
  size_t count = 0;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    tables[count++] = &avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) tables[count++] = &avx2;
  tables[count++] = &scalar;
  return tables;
}

// The widest, or the one that the environment variable PREIMAGE_CPU_KERNELS names.
template <class Table>
const Table& chosen_table(const Table* const* tables) {
  if (const char* wanted = std::getenv("PREIMAGE_CPU_KERNELS")) {
    for (const auto* const* table = tables; *table; ++table)
      if (std::string_view((*table)->name) == wanted) return **table;
  }
  return **tables;
}

}  // namespace preimage::base
