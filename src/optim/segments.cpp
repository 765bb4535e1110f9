#include "preimage/optim/segments.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "cuda_segments.hpp"
#include "preimage/base/error.hpp"

namespace preimage::optim {
double fixed_order_dot(const float* a, const float* b, int64_t count) {
  double lanes[8] = {};
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int64_t k = 0; k < 8; ++k) lanes[k] += static_cast<double>(a[i + k]) * b[i + k];
  }
  for (; i < count; ++i) lanes[i % 8] += static_cast<double>(a[i]) * b[i];
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

std::vector<double> segment_dot(const at::Tensor& a, const at::Tensor& b,
                                const std::vector<int64_t>& offsets) {
  base::check(
      a.sizes() == b.sizes() && a.scalar_type() == at::kFloat && a.size(0) == offsets.back(),
      "segment_dot is given float32 rows up to the last offset");
  const auto x = a.contiguous(), y = b.contiguous();
  if (!a.is_cpu()) {
#ifdef PREIMAGE_CUDA
    return cuda_segment_dot(x, y, offsets);
#else
    throw base::unavailable_error("this preimage was built without CUDA: build the preset cuda");
#endif
  }
  const int64_t d = a.size(1), segments = static_cast<int64_t>(offsets.size()) - 1;
  std::vector<double> out(static_cast<size_t>(segments));
  at::parallel_for(0, segments, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      out[p] = fixed_order_dot(x.const_data_ptr<float>() + offsets[p] * d,
                               y.const_data_ptr<float>() + offsets[p] * d,
                               (offsets[p + 1] - offsets[p]) * d);
    }
  });
  return out;
}

}  // namespace preimage::optim
