// The launchers of a build without CUDA. No tensor reaches them; an unoptimised build names them.
#include "cuda/kernels.hpp"
#include "preimage/base/error.hpp"

#ifndef PREIMAGE_CUDA

namespace preimage::nn {
namespace {

[[noreturn]] void absent() {
  throw base::unavailable_error("this preimage was built without CUDA: build the preset cuda");
}

}  // namespace

void cuda_rms_norm(const at::Tensor&, const at::Tensor&, double, at::Tensor&, at::Tensor&) {
  absent();
}
void cuda_wide_rms_norm(const at::Tensor&, const at::Tensor&, double, at::Tensor&) {
  absent();
}
void cuda_rms_norm_backward(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                            const at::Tensor&, at::Tensor&) {
  absent();
}
void cuda_swiglu(const at::Tensor&, at::Tensor&) {
  absent();
}
void cuda_swiglu_backward(const at::Tensor&, const at::Tensor&, at::Tensor&) {
  absent();
}
void cuda_clamped_swiglu(const at::Tensor&, double, double, at::Tensor&) {
  absent();
}
void cuda_rotary(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                 int64_t, float, at::Tensor&) {
  absent();
}
void cuda_e4m3_rows(const at::Tensor&, at::Tensor&, at::Tensor&) {
  absent();
}
void cuda_softmax_nll(at::Tensor&, const at::Tensor&, const at::Tensor&, bool, at::Tensor&) {
  absent();
}
void cuda_sample_products(const at::Tensor&, const at::Tensor&, const std::vector<int64_t>&,
                          at::Tensor&) {
  absent();
}

}  // namespace preimage::nn

#endif  // PREIMAGE_CUDA
