#include "cpu/kernels.hpp"

#include "preimage/base/instruction_sets.hpp"

namespace preimage::bo {

const CpuKernels& cpu_kernels() {
  static const CpuKernels& chosen = base::chosen_table(all_cpu_kernels());
  return chosen;
}

const CpuKernels* const* all_cpu_kernels() {
  static const auto tables = base::runnable_tables(avx512_kernels, avx2_kernels, scalar_kernels);
  return tables.data();
}

}  // namespace preimage::bo
