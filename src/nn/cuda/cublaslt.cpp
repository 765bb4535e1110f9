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
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>

#include "cuda/cublaslt_call.hpp"
#include "cuda/few_rows.hpp"
#include "preimage/base/error.hpp"
#include "preimage/nn/free_order.hpp"

namespace preimage::nn {
namespace {

constexpr int kHopperFamily = 66;
constexpr int kTimedRuns = 3;
constexpr int64_t kReferenceRows = 1024;

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

void require_no_capture() {
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
  C10_CUDA_CHECK(cudaStreamIsCapturing(at::cuda::getCurrentCUDAStream(), &capturing));
  base::check(capturing == cudaStreamCaptureStatusNone,
              "every product of a CUDA graph runs once before the capture");
}

// Larger than the second-level cache.
at::Tensor other_numbers() {
  return at::empty({2 * at::cuda::getCurrentDeviceProperties()->l2CacheSize},
                   at::device(at::kCUDA).dtype(at::kByte));
}

// E4M3 numbers of magnitude below two, from the high bits of a multiplicative hash of their place.
at::Tensor scattered_codes(int64_t rows, int64_t width) {
  const auto places = at::arange(rows * width, at::device(at::kCUDA).dtype(at::kLong));
  const auto hashes = at::bitwise_right_shift(places.mul_(2654435761), 16);
  return at::bitwise_and(hashes, 0xBF).to(at::kByte).view({rows, width});
}

// On family 66, and with our own kernel beside it, the choice changes the time of a product and
// never its bits; of E4M3 numbers only what has shown that is chosen.
class Choices {
 public:
  Choice of(const Product& product, const Call& call) {
    const std::scoped_lock lock(mutex_);
    Key key{c10::cuda::current_device(),
            product.transposed,
            product.bias != nullptr,
            product.eight_bit(),
            product.columns,
            product.depth,
            0};
    const auto bucket = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(product.rows)));
    if (FreeOrder::granted()) {
      std::get<6>(key) = -bucket;
      const auto known = chosen_.find(key);
      if (known != chosen_.end()) return known->second;
      return chosen_.emplace(key, fastest(product, call, std::nullopt)).first->second;
    }
    const auto reference = chosen_.find(key);
    const auto first = reference == chosen_.end()
                           ? chosen_.emplace(key, Choice{reference_of(product)}).first
                           : reference;
    const auto& algorithm = *first->second.algorithm;
    if (!product.eight_bit() &&
        (Call::config(algorithm, CUBLASLT_ALGO_CONFIG_ID) != kHopperFamily || !hopper()))
      return first->second;
    std::get<6>(key) = bucket;
    const auto known = chosen_.find(key);
    if (known != chosen_.end()) return known->second;
    const auto choice =
        product.eight_bit() ? fastest_alike(product, algorithm) : fastest(product, call, algorithm);
    return chosen_.emplace(key, choice).first->second;
  }

 private:
  // device, transposed, bias, eight bits, columns, depth, rows rounded up to a power of two (0: the
  // reference; negative: of those in any order)
  using Key = std::tuple<int, bool, bool, bool, int64_t, int64_t, int64_t>;

  static cublasLtMatmulAlgo_t reference_of(Product product) {
    product.rows = kReferenceRows;
    const auto candidates = Call(product).candidates();
    if (candidates.empty()) {
      throw base::unavailable_error(
          std::string("cuBLASLt has no algorithm without split-K for a product in ") +
          (product.eight_bit() ? "E4M3" : "bfloat16") + " with " + std::to_string(product.columns) +
          " columns and depth " + std::to_string(product.depth) +
          " on this GPU; run the model in float32" +
          (product.eight_bit() ? ", or with weights fp8" : ""));
    }
    if (hopper() && !product.eight_bit()) {
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
    require_no_capture();
    std::vector<Choice> candidates;
    for (const auto& algorithm : call.candidates(/*free=*/!reference)) {
      if (!reference || Call::config(algorithm, CUBLASLT_ALGO_CONFIG_ID) == kHopperFamily)
        candidates.push_back({algorithm});
    }
    if (product.transposed && !product.bias && !product.eight_bit() && hopper() &&
        few_rows_supports({product.a, product.matrix, product.c, product.rows, product.columns,
                           product.depth, product.c_stride})) {
      for (const int columns : kFewRowsColumns) candidates.push_back({std::nullopt, columns});
    }
    Choice best{reference};
    float best_time = INFINITY;
    auto other = other_numbers();
    for (const auto& choice : candidates) {
      const auto time = time_of([&] { return run(product, call, choice); }, other);
      if (time && *time < best_time) best = choice, best_time = *time;
    }
    if (!best.algorithm && best.block_columns == 0) {
      throw base::unavailable_error(
          "cuBLASLt has no algorithm for a product of this shape on this GPU; run the model in "
          "float32");
    }
    return best;
  }

  // Of the algorithms that have, on scattered numbers in the place of a, the bits of `reference`.
  static Choice fastest_alike(Product product, const cublasLtMatmulAlgo_t& reference) {
    require_no_capture();
    const auto codes = scattered_codes(product.rows, product.depth);
    const auto scales = at::ones({product.rows}, codes.options().dtype(at::kFloat));
    const auto out =
        at::empty({product.rows, product.columns}, codes.options().dtype(at::kBFloat16));
    product.a = codes.const_data_ptr(), product.a_scales = scales.const_data_ptr<float>();
    product.c = out.data_ptr(), product.c_stride = product.columns;
    const Call call(product);
    auto other = other_numbers();
    Choice best{reference};
    auto best_time = time_of([&] { return call.run(reference); }, other).value_or(INFINITY);
    const auto expected = out.clone();
    for (const auto& algorithm : call.candidates()) {
      const auto time = time_of([&] { return call.run(algorithm); }, other);
      if (time && *time < best_time && at::equal(out, expected))
        best = {algorithm}, best_time = *time;
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
              " for a product of ", product.rows, " rows, ", product.columns, " columns, depth ",
              product.depth);
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

void check_target(const at::Tensor& bias, const at::Tensor& y) {
  base::check(!bias.defined() || bias.scalar_type() == at::kBFloat16,
              "a bias has the dtype of its weight");
  base::check(y.stride(1) == 1 && Call::alignment(y.stride(0)) >= Call::alignment(y.size(1)) &&
                  reinterpret_cast<uintptr_t>(y.const_data_ptr()) % Call::alignment(y.size(1)) == 0,
              "columns of wider rows are aligned as rows of their own would be");
}

}  // namespace

bool cublaslt_chains() {
  return hopper();
}

bool cublaslt_multiplies_e4m3() {
  const auto* properties = at::cuda::getCurrentDeviceProperties();
  return properties->major > 8 || (properties->major == 8 && properties->minor >= 9);
}

at::Tensor cublaslt_linear(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias) {
  auto y = at::empty({x.size(0), matrix.size(0)}, x.options());
  cublaslt_linear_into(x, matrix, bias, y);
  return y;
}

void cublaslt_linear_into(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias,
                          at::Tensor& y) {
  check_matrix(matrix);
  check_target(bias, y);
  const c10::cuda::CUDAGuard guard(x.device());
  const auto a = dense(x);
  multiply({true, x.size(0), matrix.size(0), matrix.size(1), a.const_data_ptr(),
            matrix.const_data_ptr(), bias.defined() ? bias.const_data_ptr() : nullptr, y.data_ptr(),
            y.stride(0)});
}

void cublaslt_e4m3_into(const ScaledRows& x, const ScaledRows& matrix, const at::Tensor& bias,
                        at::Tensor& y) {
  check_target(bias, y);
  for (const auto* rows : {&x, &matrix}) {
    base::check(rows->codes.is_contiguous() && rows->codes.size(1) % 16 == 0 &&
                    reinterpret_cast<uintptr_t>(rows->codes.const_data_ptr()) % 16 == 0 &&
                    rows->scales.is_contiguous() && rows->scales.numel() == rows->codes.size(0),
                "E4M3 rows are contiguous, of a multiple of 16 elements, with a scale each");
  }
  const c10::cuda::CUDAGuard guard(x.codes.device());
  multiply({true, x.codes.size(0), matrix.codes.size(0), matrix.codes.size(1),
            x.codes.const_data_ptr(), matrix.codes.const_data_ptr(),
            bias.defined() ? bias.const_data_ptr() : nullptr, y.data_ptr(), y.stride(0),
            x.scales.const_data_ptr<float>(), matrix.scales.const_data_ptr<float>()});
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
