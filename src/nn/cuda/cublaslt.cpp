#include "cuda/cublaslt.hpp"

#ifdef PREIMAGE_CUDA

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/Exceptions.h>
#include <c10/cuda/CUDAGuard.h>
#include <cublasLt.h>

#include "cuda/few_rows.hpp"
#include "preimage/base/error.hpp"
#include "preimage/nn/free_order.hpp"

namespace preimage::nn {
namespace {

constexpr int kHopperFamily = 66;
constexpr int kCandidates = 64;
constexpr int kTimedRuns = 3;
constexpr int64_t kReferenceRows = 1024;
constexpr size_t kWorkspaceBytes = size_t{32} << 20;

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
struct Product {
  bool transposed;
  int64_t rows, columns, depth;
  const void *a, *matrix, *bias;
  void* c;
  int64_t c_stride;
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
    const int64_t wide = p.transposed ? p.depth : p.columns,
                  tall = p.transposed ? p.columns : p.depth;
    shape(matrix_, wide, tall), shape(a_, p.depth, p.rows);
    shape(c_, p.columns, p.rows, p.c_stride);
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
    const uint32_t of_a = alignment(product_.depth), of_c = alignment(product_.columns);
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

  // Bytes to which every row of `width` bfloat16 is aligned, at most 16.
  static uint32_t alignment(int64_t width) {
    return static_cast<uint32_t>(std::min<int64_t>(16, 2 * (width & -width)));
  }

 private:
  template <class T>
  void set(cublasLtMatmulDescAttributes_t key, T value) {
    TORCH_CUDABLAS_CHECK(
        cublasLtMatmulDescSetAttribute(description_.get(), key, &value, sizeof value));
  }
  static void shape(Layout& layout, int64_t rows, int64_t columns, int64_t stride = 0) {
    TORCH_CUDABLAS_CHECK(
        cublasLtMatrixLayoutCreate(layout.put(), CUDA_R_16BF, static_cast<uint64_t>(rows),
                                   static_cast<uint64_t>(columns), stride == 0 ? rows : stride));
  }

  Product product_;
  Description description_;
  Layout matrix_, a_, c_;
};

// What carries a product out: an algorithm of cuBLASLt, or our own kernel for few rows.
struct Choice {
  std::optional<cublasLtMatmulAlgo_t> algorithm;
  int block_columns = 0;  // without an algorithm: of cuda_few_rows
};

cublasStatus_t run(const Product& p, const Call& call, const Choice& choice) {
  if (choice.algorithm) return call.run(*choice.algorithm);
  cuda_few_rows({p.a, p.matrix, p.c, p.rows, p.columns, p.depth, p.c_stride}, choice.block_columns);
  return CUBLAS_STATUS_SUCCESS;
}

// Milliseconds of the best of a few runs, after one that loads the kernel; none if it does not run.
// Each finds the second-level cache full of `other` numbers, as it does between the other products
// of a model.
std::optional<float> time_of(const std::function<cublasStatus_t()>& product, at::Tensor& other) {
  if (product() != CUBLAS_STATUS_SUCCESS) return std::nullopt;
  std::optional<float> best;
  for (int i = 0; i < kTimedRuns; ++i) {
    other.zero_();
    at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
    begin.record();
    if (product() != CUBLAS_STATUS_SUCCESS) return std::nullopt;
    end.record();
    end.synchronize();
    best = std::min(best.value_or(INFINITY), begin.elapsed_time(end));
  }
  return best;
}

bool hopper() {
  const auto* properties = at::cuda::getCurrentDeviceProperties();
  return properties->major == 9 && properties->minor == 0;
}

// On family 66, and with our own kernel beside it, the choice changes the time of a product and
// never its bits.
class Choices {
 public:
  Choice of(const Product& product, const Call& call) {
    const std::scoped_lock lock(mutex_);
    Key key{c10::cuda::current_device(),
            product.transposed,
            product.bias != nullptr,
            product.columns,
            product.depth,
            0};
    const auto bucket = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(product.rows)));
    if (FreeOrder::granted()) {
      std::get<5>(key) = -bucket;
      const auto known = chosen_.find(key);
      if (known != chosen_.end()) return known->second;
      return chosen_.emplace(key, fastest(product, call, std::nullopt)).first->second;
    }
    const auto reference = chosen_.find(key);
    const auto first = reference == chosen_.end()
                           ? chosen_.emplace(key, Choice{reference_of(product)}).first
                           : reference;
    const auto& algorithm = *first->second.algorithm;
    if (Call::config(algorithm, CUBLASLT_ALGO_CONFIG_ID) != kHopperFamily || !hopper())
      return first->second;
    std::get<5>(key) = bucket;
    const auto known = chosen_.find(key);
    if (known != chosen_.end()) return known->second;
    return chosen_.emplace(key, fastest(product, call, algorithm)).first->second;
  }

 private:
  // device, transposed, bias, columns, depth, rows rounded up to a power of two (0: the reference;
  // negative: of those in any order)
  using Key = std::tuple<int, bool, bool, int64_t, int64_t, int64_t>;

  static cublasLtMatmulAlgo_t reference_of(Product product) {
    product.rows = kReferenceRows;
    const auto candidates = Call(product).candidates();
    if (candidates.empty()) {
      throw base::unavailable_error(
          "cuBLASLt has no algorithm without split-K for a bfloat16 product with " +
          std::to_string(product.columns) + " columns and depth " + std::to_string(product.depth) +
          " on this GPU; run the model in float32");
    }
    if (hopper()) {
      for (const auto& algorithm : candidates) {
        if (Call::config(algorithm, CUBLASLT_ALGO_CONFIG_ID) == kHopperFamily) return algorithm;
      }
    }
    return candidates.front();
  }

  // Times on the caller's own buffers, whose result every candidate writes. Of those that have the
  // bits of `reference`; of all without one.
  static Choice fastest(const Product& product, const Call& call,
                        const std::optional<cublasLtMatmulAlgo_t>& reference) {
    cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
    C10_CUDA_CHECK(cudaStreamIsCapturing(at::cuda::getCurrentCUDAStream(), &capturing));
    base::check(capturing == cudaStreamCaptureStatusNone,
                "every product of a CUDA graph runs once before the capture");
    std::vector<Choice> candidates;
    for (const auto& algorithm : call.candidates(/*free=*/!reference)) {
      if (!reference || Call::config(algorithm, CUBLASLT_ALGO_CONFIG_ID) == kHopperFamily)
        candidates.push_back({algorithm});
    }
    if (product.transposed && !product.bias && hopper() &&
        few_rows_supports({product.a, product.matrix, product.c, product.rows, product.columns,
                           product.depth, product.c_stride})) {
      for (const int columns : kFewRowsColumns) candidates.push_back({std::nullopt, columns});
    }
    Choice best{reference};
    float best_time = INFINITY;
    auto other = at::empty({2 * at::cuda::getCurrentDeviceProperties()->l2CacheSize},
                           at::device(at::kCUDA).dtype(at::kByte));
    for (const auto& choice : candidates) {
      const auto time = time_of([&] { return run(product, call, choice); }, other);
      if (time && *time < best_time) best = choice, best_time = *time;
    }
    if (!best.algorithm && best.block_columns == 0) {
      throw base::unavailable_error(
          "cuBLASLt has no algorithm for a bfloat16 product of this shape on this GPU; run the "
          "model in float32");
    }
    return best;
  }

  std::mutex mutex_;
  std::map<Key, Choice> chosen_;
};

// Shared by all threads and models of the process, as the measurements are of the GPU alone.
Choices& choices() {
  static Choices shared;
  return shared;
}

void multiply(const Product& product) {
  if (product.rows == 0) return;
  const Call call(product);
  const auto status = run(product, call, choices().of(product, call));
  TORCH_CHECK(status == CUBLAS_STATUS_SUCCESS, "cuBLASLt status ", static_cast<int>(status),
              " for a bfloat16 product of ", product.rows, " rows, ", product.columns,
              " columns, depth ", product.depth);
}

// A tensor whose rows lie end to end, aligned as a new tensor's rows are.
at::Tensor dense(const at::Tensor& x) {
  const auto rows = x.contiguous();
  const auto address = reinterpret_cast<uintptr_t>(rows.const_data_ptr());
  return address % Call::alignment(rows.size(1)) == 0 ? rows : rows.clone();
}

void check_matrix(const at::Tensor& matrix) {
  base::check(matrix.is_contiguous() && matrix.scalar_type() == at::kBFloat16 &&
                  reinterpret_cast<uintptr_t>(matrix.const_data_ptr()) % 16 == 0,
              "a weight on CUDA in bfloat16 is contiguous and begins at a multiple of 16 bytes");
}

}  // namespace

bool cublaslt_chains() {
  return hopper();
}

at::Tensor cublaslt_linear(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias) {
  auto y = at::empty({x.size(0), matrix.size(0)}, x.options());
  cublaslt_linear_into(x, matrix, bias, y);
  return y;
}

void cublaslt_linear_into(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias,
                          at::Tensor& y) {
  check_matrix(matrix);
  base::check(!bias.defined() || bias.scalar_type() == at::kBFloat16,
              "a bias has the dtype of its weight");
  const c10::cuda::CUDAGuard guard(x.device());
  const auto a = dense(x);
  base::check(y.stride(1) == 1 && Call::alignment(y.stride(0)) >= Call::alignment(y.size(1)) &&
                  reinterpret_cast<uintptr_t>(y.const_data_ptr()) % Call::alignment(y.size(1)) == 0,
              "columns of wider rows are aligned as rows of their own would be");
  multiply({true, x.size(0), matrix.size(0), matrix.size(1), a.const_data_ptr(),
            matrix.const_data_ptr(), bias.defined() ? bias.const_data_ptr() : nullptr, y.data_ptr(),
            y.stride(0)});
}

at::Tensor cublaslt_input_gradient(const at::Tensor& dy, const at::Tensor& matrix) {
  check_matrix(matrix);
  const c10::cuda::CUDAGuard guard(dy.device());
  const auto a = dense(dy);
  auto dx = at::empty({dy.size(0), matrix.size(1)}, dy.options());
  multiply({false, dy.size(0), matrix.size(1), matrix.size(0), a.const_data_ptr(),
            matrix.const_data_ptr(), nullptr, dx.data_ptr(), dx.stride(0)});
  return dx;
}

}  // namespace preimage::nn

#endif  // PREIMAGE_CUDA
