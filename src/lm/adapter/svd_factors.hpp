// Singular vectors of frozen matrices, kept by the hash of each.
#pragma once

#include <filesystem>

#include "preimage/lm/adapter/live_adapter.hpp"

namespace preimage::lm {

// Of matrix [out, in] float32; from `cache` where it holds them, else made there ("" keeps none).
// The same on every machine and thread count that shares the file.
SvdFactors svd_factors(const at::Tensor& matrix, const std::filesystem::path& cache);

}  // namespace preimage::lm
