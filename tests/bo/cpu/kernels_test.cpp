// All tables of the processor against each other, bit by bit, and against ATen.
#include "cpu/kernels.hpp"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "matrix.hpp"

namespace preimage::bo {
namespace {

Matrix waves(int64_t rows, int64_t columns, double step) {
  const Matrix out(rows, columns);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      out.row(i)[j] = std::sin(step * static_cast<double>(i * columns + j + 1));
  return out;
}

at::Tensor tensor(const Matrix& m) {
  auto out = at::empty({m.block().rows, m.block().columns}, at::kDouble);
  m.store(out.data_ptr<double>(), out.size(0), out.size(1));
  return out;
}

// What a table makes of one problem, all results in one list.
std::vector<at::Tensor> results(const CpuKernels& kernels) {
  constexpr int64_t n = 48;
  const auto x = waves(8, n, 0.7), others = waves(8, 32, 0.37), scaled = waves(n, 16, 1.1);
  const Covariance kernel{x.block().data, x.block().stride, 8, 1.7};
  const Matrix k(n, n), slope(n, n), inverse(n, n), weights(n, n), sums(16, n);
  const Matrix cross(n, 32), cross_slope(n, 32);
  std::vector<double> half(n), alpha(n), diagonal(n), y(n);
  for (int64_t i = 0; i < n; ++i) y[i] = std::cos(0.3 * static_cast<double>(i));
  kernels.covariance(kernel, n, k, slope);
  kernels.cross(kernel, others, cross, cross_slope);
  for (int64_t i = 0; i < n; ++i) k.row(i)[i] += 0.02;
  const auto covariance = tensor(k).triu();
  EXPECT_TRUE(kernels.factorise(k, inverse));
  kernels.lower_times(inverse, y.data(), half.data());
  kernels.lower_transposed_times(inverse, half.data(), alpha.data());
  kernels.weigh(inverse, alpha.data(), slope, weights, diagonal.data());
  kernels.product(scaled, weights, sums, 0);
  return {covariance,    tensor(k).triu(),  tensor(inverse),      tensor(weights),    tensor(sums),
          tensor(cross), at::tensor(alpha), at::tensor(diagonal), tensor(cross_slope)};
}

TEST(GpKernels, AllTablesGiveTheSameBits) {
  const auto expected = results(**all_cpu_kernels());
  for (const auto* const* table = all_cpu_kernels() + 1; *table; ++table) {
    const auto found = results(**table);
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_TRUE(found[i].equal(expected[i])) << (*table)->name << " " << i;
  }
}

TEST(GpKernels, FactorInverseAndWeightsAreATens) {
  const auto found = results(cpu_kernels());
  const auto whole = found[0] + found[0].triu(1).t();
  const auto lower = at::linalg_cholesky(whole);
  EXPECT_TRUE(found[1].t().allclose(lower, 1e-11, 1e-12));
  const auto inverse = at::linalg_inv(whole);
  EXPECT_TRUE(at::mm(found[2].t(), found[2]).allclose(inverse, 1e-9, 1e-9));
  auto y = at::arange(48, at::kDouble).mul(0.3).cos();
  const auto alpha = at::mv(inverse, y);
  EXPECT_TRUE(found[6].allclose(alpha, 1e-9, 1e-9));
  EXPECT_TRUE(found[7].allclose(inverse.diag(), 1e-9, 1e-9));
  EXPECT_TRUE(found[3].equal(found[3].t()));
  EXPECT_TRUE(found[4].allclose(at::mm(tensor(waves(48, 16, 1.1)).t(), found[3]), 1e-11, 1e-11));
}

TEST(GpKernels, AMatrixThatIsNotPositiveHasNoFactor) {
  for (const auto* const* table = all_cpu_kernels(); *table; ++table) {
    for (const double last : {0.0, -1.0, std::nan("")}) {
      const Matrix k(32, 32), inverse(32, 32);
      for (int64_t i = 0; i < 32; ++i) k.row(i)[i] = i == 27 ? last : 1;
      EXPECT_FALSE((*table)->factorise(k, inverse)) << (*table)->name << " " << last;
    }
  }
}

}  // namespace
}  // namespace preimage::bo
