#include "adapter/svd_factors.hpp"

#include <unistd.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "preimage/base/error.hpp"
#include "preimage/base/sha256.hpp"
#include "preimage/base/str.hpp"
#include "preimage/lm/checkpoint/safetensors.hpp"

namespace preimage::lm {
namespace {

namespace fs = std::filesystem;

struct Vectors {
  at::Tensor u, vh;
};

// The library shares sums out to its threads, and with them the signs of the vectors.
Vectors decompose(const at::Tensor& matrix) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto [u, s, vh] = at::linalg_svd(matrix, /*full_matrices=*/false);
  at::set_num_threads(threads);
  const auto kept = [](const at::Tensor& t) { return t.to(at::kCPU, at::kBFloat16).contiguous(); };
  return {kept(u), kept(vh)};
}

fs::path place_of(const at::Tensor& matrix, const fs::path& cache) {
  const auto bytes = matrix.to(at::kCPU).contiguous();
  base::Sha256 hash;
  hash.update(base::str(bytes.size(0), " ", bytes.size(1), "\n"));
  hash.update({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()});
  const auto digest = hash.finish();
  return cache / base::str("svd-", base::hex(digest.data(), 16), ".safetensors");
}

Vectors read(const fs::path& path, const at::Tensor& matrix) {
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

// Ranks that make the same file each write their own copy and rename it: the last one stays, and
// holds what the others hold.
void write(const fs::path& path, const Vectors& vectors) {
  std::error_code ignored;  // the file that cannot be written says what is wrong
  fs::create_directories(path.parent_path(), ignored);
  const fs::path own = base::str(path.string(), ".", ::getpid());
  write_safetensors(own, {{"u", vectors.u}, {"vh", vectors.vh}});
  fs::rename(own, path);
}

}  // namespace

SvdFactors svd_factors(const at::Tensor& matrix, const fs::path& cache) {
  const auto path = cache.empty() ? fs::path() : place_of(matrix, cache);
  Vectors vectors;
  if (!path.empty() && fs::exists(path)) {
    vectors = read(path, matrix);
  } else {
    vectors = decompose(matrix);
    if (!path.empty()) write(path, vectors);
  }
  return {nn::Weight(vectors.u.to(matrix.device())), nn::Weight(vectors.vh.to(matrix.device()))};
}

}  // namespace preimage::lm
