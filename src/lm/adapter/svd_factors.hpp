// Singular vectors of frozen matrices, kept by the hash of each.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <vector>

#include "preimage/lm/adapter/live_adapter.hpp"

namespace preimage::lm {

// U [out, r] and Vh [r, in] of a matrix [out, in], r = min(out, in), singular values descending.
struct SingularVectors {
  at::Tensor u, vh;
};

// By the library's decomposition in the matrix's own dtype.
SingularVectors library_singular_vectors(const at::Tensor& matrix);

// float64: eigenvectors of the smaller Gram matrix, the others by one product with the matrix.
// Where the smallest singular value is below 1e-5 of the largest the Gram matrix has lost it, and
// the library decomposes. Operations: r^2 (4 max + 9 r) beside the library's bidiagonalisation.
SingularVectors gram_singular_vectors(const at::Tensor& matrix);

// Of each matrix(i) [out, in] float32, i < count, in bfloat16 on `device`; from `cache` where it
// holds them, else made there ("" keeps none). On the CPU one by one on one thread, by the library:
// the same on every machine and thread count that shares the file. On CUDA by Gram matrices,
// several at a time on streams of their own, for an eigenproblem of 2560 does not fill a GPU.
std::vector<SvdFactors> svd_factors(size_t count, const std::function<at::Tensor(size_t)>& matrix,
                                    at::Device device, const std::filesystem::path& cache);

}  // namespace preimage::lm
