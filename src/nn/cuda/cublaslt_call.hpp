// One call of cuBLASLt: its description, the algorithms that fit it, running one of them.
#pragma once

#ifdef PREIMAGE_CUDA

#include <algorithm>
#include <cstdint>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/Exceptions.h>
#include <cublasLt.h>

namespace preimage::nn {

inline constexpr int kCandidates = 64;
inline constexpr size_t kWorkspaceBytes = size_t{32} << 20;

template <class Handle, cublasStatus_t (*kDestroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  ~Owned() {
    if (handle_) kDestroy(handle_);
  }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  Handle* put() { return &handle_; }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

// c [rows, columns] = a [rows, depth] times the matrix, which lies [columns, depth] (transposed) or
// [depth, columns]. All are dense and row-major, but that the rows of c may lie `c_stride` apart.
// c is bfloat16, a and the matrix are bfloat16 or, where they have scales (one a row), E4M3.
struct Product {
  bool transposed;
  int64_t rows, columns, depth;
  const void *a, *matrix, *bias;
  void* c;
  int64_t c_stride;
  const float *a_scales = nullptr, *matrix_scales = nullptr;
  bool eight_bit() const { return a_scales != nullptr; }
};

// cuBLASLt counts by columns: it is told c^T = matrix^T a^T.
class Call {
 public:
  explicit Call(const Product& p) : product_(p) {
    TORCH_CUDABLAS_CHECK(
        cublasLtMatmulDescCreate(description_.put(), CUBLAS_COMPUTE_32F, CUDA_R_32F));
    set(CUBLASLT_MATMUL_DESC_TRANSA, p.transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(CUBLASLT_MATMUL_DESC_TRANSB, CUBLAS_OP_N);
    if (p.bias) {
      set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
    }
    if (p.eight_bit()) {
      const int32_t of_rows = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;
      set(CUBLASLT_MATMUL_DESC_A_SCALE_MODE, of_rows);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_MODE, of_rows);
      set(CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, p.matrix_scales);
      set(CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, p.a_scales);
    }
    const auto type = p.eight_bit() ? CUDA_R_8F_E4M3 : CUDA_R_16BF;
    const int64_t wide = p.transposed ? p.depth : p.columns,
                  tall = p.transposed ? p.columns : p.depth;
    shape(matrix_, type, wide, tall), shape(a_, type, p.depth, p.rows);
    shape(c_, CUDA_R_16BF, p.columns, p.rows, p.c_stride);
  }

  // Algorithms, the heuristics' best first; unless `free` those without split-K.
  std::vector<cublasLtMatmulAlgo_t> candidates(bool free = false) const {
    Preference preference;
    TORCH_CUDABLAS_CHECK(cublasLtMatmulPreferenceCreate(preference.put()));
    const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t key, auto value) {
      TORCH_CUDABLAS_CHECK(
          cublasLtMatmulPreferenceSetAttribute(preference.get(), key, &value, sizeof value));
    };
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceBytes});
    prefer(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           static_cast<uint32_t>(free ? CUBLASLT_REDUCTION_SCHEME_MASK
                                      : CUBLASLT_REDUCTION_SCHEME_NONE));
    // By the width alone: a batch may begin at any row of a larger tensor.
    const uint32_t of_a = alignment(product_.depth, product_.eight_bit() ? 1 : 2),
                   of_c = alignment(product_.columns);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, product_.transposed ? of_a : of_c);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, of_a);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, of_c);
    prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, of_c);
    std::vector<cublasLtMatmulHeuristicResult_t> found(kCandidates);
    int count = 0;
    const auto status = cublasLtMatmulAlgoGetHeuristic(
        at::cuda::getCurrentCUDABlasLtHandle(), description_.get(), matrix_.get(), a_.get(),
        c_.get(), c_.get(), preference.get(), kCandidates, found.data(), &count);
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    if (status != CUBLAS_STATUS_SUCCESS) return algorithms;
    for (int i = 0; i < count; ++i) {
      const bool whole = config(found[i].algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM) <= 1 &&
                         config(found[i].algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME) ==
                             CUBLASLT_REDUCTION_SCHEME_NONE;
      if (found[i].state == CUBLAS_STATUS_SUCCESS && (free || whole))
        algorithms.push_back(found[i].algo);
    }
    return algorithms;
  }

  cublasStatus_t run(const cublasLtMatmulAlgo_t& algorithm) const {
    cublasLtMatmulHeuristicResult_t needs{};
    const auto handle = at::cuda::getCurrentCUDABlasLtHandle();
    const auto valid = cublasLtMatmulAlgoCheck(handle, description_.get(), matrix_.get(), a_.get(),
                                               c_.get(), c_.get(), &algorithm, &needs);
    if (valid != CUBLAS_STATUS_SUCCESS) return valid;
    // From the caching allocator, which hands it on in the order of the stream.
    at::Tensor workspace;
    if (needs.workspaceSize > 0) {
      workspace = at::empty({static_cast<int64_t>(needs.workspaceSize)},
                            at::device(at::kCUDA).dtype(at::kByte));
    }
    const float one = 1, zero = 0;
    return cublasLtMatmul(handle, description_.get(), &one, product_.matrix, matrix_.get(),
                          product_.a, a_.get(), &zero, product_.c, c_.get(), product_.c, c_.get(),
                          &algorithm, workspace.defined() ? workspace.data_ptr() : nullptr,
                          needs.workspaceSize, at::cuda::getCurrentCUDAStream());
  }

  static uint32_t config(const cublasLtMatmulAlgo_t& algorithm,
                         cublasLtMatmulAlgoConfigAttributes_t key) {
    uint32_t value = 0;
    TORCH_CUDABLAS_CHECK(
        cublasLtMatmulAlgoConfigGetAttribute(&algorithm, key, &value, sizeof value, nullptr));
    return value;
  }

  // Bytes to which every row of `width` elements is aligned, at most 16.
  static uint32_t alignment(int64_t width, int64_t element_bytes = 2) {
    return static_cast<uint32_t>(std::min<int64_t>(16, element_bytes * (width & -width)));
  }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t key, T value) {
    TORCH_CUDABLAS_CHECK(
        cublasLtMatmulDescSetAttribute(description_.get(), key, &value, sizeof value));
  }
  static void shape(Layout& layout, cudaDataType_t type, int64_t rows, int64_t columns,
                    int64_t stride = 0) {
    TORCH_CUDABLAS_CHECK(cublasLtMatrixLayoutCreate(layout.put(), type, static_cast<uint64_t>(rows),
                                                    static_cast<uint64_t>(columns),
                                                    stride == 0 ? rows : stride));
  }

  Product product_;
  Description description_;
  Layout matrix_, a_, c_;
};

}  // namespace preimage::nn

#endif  // PREIMAGE_CUDA
