#include "preimage/nn/dropout.hpp"

#include <mutex>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace preimage::nn {
namespace {

constexpr int64_t kGrain = 1 << 13;

}  // namespace

void dropout_mask(const Dropout& options, uint64_t first, int64_t count, float* mask) {
  // Dropped where a number of 32 bits falls below p 2^32. A block of four numbers a call.
  const auto limit = static_cast<uint64_t>(options.p * 4294967296.0);
  const auto kept = static_cast<float>(1 / (1 - options.p));
  const auto upper = options.stream->upper_counter();
  const auto end = first + static_cast<uint64_t>(count);
  for (uint64_t block = first / 4; block * 4 < end; ++block) {
    const auto bits = base::philox4x32(
        {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), upper[0], upper[1]},
        options.stream->key());
    for (uint64_t lane = 0; lane < 4; ++lane) {
      const uint64_t element = block * 4 + lane;
      if (element >= first && element < end) mask[element - first] = bits[lane] < limit ? 0 : kept;
    }
  }
}

void seed_cuda_dropout(const Dropout& options, at::Device device) {
  if (!device.is_cuda() || !options.active()) return;
  auto generator = at::globalContext().defaultGenerator(device);
  const std::scoped_lock lock(generator.mutex());
  const uint64_t high = options.stream->bits(0), low = options.stream->bits(1);
  generator.set_current_seed((high << 32) | low);
}

at::Tensor dropout(const at::Tensor& x, const Dropout& options) {
  if (!options.active()) return x;
  if (!x.is_cpu()) {
    seed_cuda_dropout(options, x.device());
    return at::dropout(x, options.p, /*train=*/true);
  }
  auto mask = at::empty(x.sizes(), at::kFloat);
  float* data = mask.data_ptr<float>();
  at::parallel_for(0, x.numel(), kGrain, [&](int64_t begin, int64_t end) {
    dropout_mask(options, static_cast<uint64_t>(begin), end - begin, data + begin);
  });
  return x * mask.to(x.scalar_type());
}

}  // namespace preimage::nn
