// Singular vectors from the smaller Gram matrix beside the library's.
#include "adapter/svd_factors.hpp"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace preimage::lm {
namespace {

at::Tensor some_matrix(int64_t out, int64_t in) {
  const auto n = at::arange(out * in, at::kDouble);
  return ((n * 0.731).sin() + (n * n * 0.0137).cos()).view({out, in}).to(at::kFloat);
}

double far_from_identity(const at::Tensor& gram) {
  return (gram - at::eye(gram.size(0), gram.options())).abs().max().item<double>();
}

TEST(SvdFactors, GramVectorsAreTheLibrarys) {
  for (const auto& [out, in] : {std::pair(40, 24), std::pair(24, 40), std::pair(32, 32)}) {
    const auto matrix = some_matrix(out, in);
    const auto ours = gram_singular_vectors(matrix);
    const auto theirs = library_singular_vectors(matrix.to(at::kDouble));
    EXPECT_LT(far_from_identity(ours.u.t().mm(ours.u)), 1e-9);
    EXPECT_LT(far_from_identity(ours.vh.mm(ours.vh.t())), 1e-9);
    // Each pair is the library's, both perhaps with the other sign.
    const auto signs = (ours.u * theirs.u).sum(0);
    EXPECT_LT((signs.abs() - 1).abs().max().item<double>(), 1e-6);
    EXPECT_LT((ours.vh - signs.unsqueeze(1) * theirs.vh).abs().max().item<double>(), 1e-5);
    // U' W Vh' is diagonal, and descends.
    const auto inner = ours.u.t().mm(matrix.to(at::kDouble)).mm(ours.vh.t());
    const auto values = inner.diagonal();
    EXPECT_LT((inner - at::diag(values)).abs().max().item<double>(), 1e-6);
    EXPECT_TRUE((values.slice(0, 1) <= values.slice(0, 0, -1)).all().item<bool>());
    EXPECT_GT(values[-1].item<double>(), 0);
  }
}

TEST(SvdFactors, ALostSingularValueIsTheLibrarysWork) {
  auto matrix = some_matrix(24, 40);
  matrix[3] = matrix[5] * 2;
  const auto ours = gram_singular_vectors(matrix), theirs = library_singular_vectors(matrix);
  EXPECT_TRUE(at::equal(ours.u, theirs.u));
  EXPECT_TRUE(at::equal(ours.vh, theirs.vh));
  EXPECT_LT(far_from_identity(ours.vh.mm(ours.vh.t())), 1e-4);
}

}  // namespace
}  // namespace preimage::lm
