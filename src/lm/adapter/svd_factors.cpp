#include "adapter/svd_factors.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;

constexpr double kLostInGram = 1e-5;
constexpr size_t kAtOnce = 8;  // on CUDA

SingularVectors kept(const SingularVectors& vectors) {
  return {vectors.u.to(at::kBFloat16).contiguous(), vectors.vh.to(at::kBFloat16).contiguous()};
}

fs::path place_of(const at::Tensor& matrix, const fs::path& cache) {
  const auto bytes = matrix.to(at::kCPU).contiguous();
  base::Sha256 hash;
  hash.update(base::str(bytes.size(0), " ", bytes.size(1), "\n"));
  hash.update({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()});
  const auto digest = hash.finish();
  return cache / base::str("svd-", base::hex(digest.data(), 16), ".safetensors");
}

SingularVectors read(const fs::path& path, const at::Tensor& matrix) {
  const SafetensorsFile file(path);
  const int64_t rank = std::min(matrix.size(0), matrix.size(1));
  const auto take = [&](const char* name, const std::vector<int64_t>& shape) {
    const auto* info = file.find(name);
    if (!info || info->shape != shape || info->dtype != "BF16") {
      throw base::data_error(base::str(path.string(), ": no tensor \"", name, "\" ",
                                       base::shape_text(shape),
                                       " of bfloat16; remove the file and it is made again"));
    }
    return file.read(*info);
  };
  return {take("u", {matrix.size(0), rank}), take("vh", {rank, matrix.size(1)})};
}

// Ranks and threads that make the same file each write their own copy and rename it: the last one
// stays, and holds what the others hold.
void write(const fs::path& path, const SingularVectors& vectors) {
  std::error_code ignored;  // the file that cannot be written says what is wrong
  fs::create_directories(path.parent_path(), ignored);
  const auto thread = std::hash<std::thread::id>()(std::this_thread::get_id());
  const fs::path own = base::str(path.string(), ".", ::getpid(), ".", thread);
  write_safetensors(own, {{"u", vectors.u.cpu()}, {"vh", vectors.vh.cpu()}});
  fs::rename(own, path);
}

SvdFactors factors_of(const at::Tensor& matrix, const fs::path& cache) {
  const auto path = cache.empty() ? fs::path() : place_of(matrix, cache);
  SingularVectors vectors;
  if (!path.empty() && fs::exists(path)) {
    vectors = read(path, matrix);
  } else {
    vectors =
        kept(matrix.is_cuda() ? gram_singular_vectors(matrix) : library_singular_vectors(matrix));
    if (!path.empty()) write(path, vectors);
  }
  return {nn::Weight(vectors.u.to(matrix.device())), nn::Weight(vectors.vh.to(matrix.device()))};
}

}  // namespace

// The library shares sums out to its threads, and with them the signs of the vectors.
SingularVectors library_singular_vectors(const at::Tensor& matrix) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto [u, s, vh] = at::linalg_svd(matrix, /*full_matrices=*/false);
  at::set_num_threads(threads);
  return {u, vh};
}

SingularVectors gram_singular_vectors(const at::Tensor& matrix) {
  const bool wide = matrix.size(0) <= matrix.size(1);
  const auto w = (wide ? matrix : matrix.t()).to(at::kDouble).contiguous();  // [r, n]
  const auto [squares, vectors] = at::linalg_eigh(at::mm(w, w.t()));         // ascending
  const auto values = squares.flip(0).clamp_min(0).sqrt();
  const auto ends = at::stack({values[0], values[-1]}).cpu();
  if (!(ends[1].item<double>() > kLostInGram * ends[0].item<double>()))
    return library_singular_vectors(matrix);
  const auto near = vectors.flip(1);                               // [r, r] in columns
  const auto far = at::mm(near.t(), w).div_(values.unsqueeze(1));  // [r, n] in rows
  return wide ? SingularVectors{near, far} : SingularVectors{far.t(), near.t()};
}

std::vector<SvdFactors> svd_factors(size_t count, const std::function<at::Tensor(size_t)>& matrix,
                                    at::Device device, const fs::path& cache) {
  std::vector<SvdFactors> out(count);
  if (!device.is_cuda()) {
    for (size_t i = 0; i < count; ++i) out[i] = factors_of(matrix(i), cache);
    return out;
  }
  // ATen loads its library of decompositions at the first call, which two threads may not do at
  // once.
  at::linalg_eigh(at::eye(2, at::device(device).dtype(at::kDouble)));
  const c10::impl::VirtualGuardImpl streams(device.type());
  streams.synchronizeStream(streams.getStream(device));  // the matrices are there
  std::atomic<size_t> next = 0;
  std::mutex first_only;
  std::exception_ptr failure;
  const auto work = [&] {
    try {
      const at::NoGradGuard no_grad;
      const auto stream = streams.getStreamFromGlobalPool(device);
      const c10::StreamGuard guard(stream);
      for (size_t i = next++; i < count; i = next++) out[i] = factors_of(matrix(i), cache);
      streams.synchronizeStream(stream);
    } catch (...) {
      const std::lock_guard lock(first_only);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < std::min(kAtOnce, count); ++i) threads.emplace_back(work);
  threads.clear();
  if (failure) std::rethrow_exception(failure);
  return out;
}

}  // namespace preimage::lm
