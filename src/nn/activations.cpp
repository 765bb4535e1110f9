#include "preimage/nn/activations.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu/kernels.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Elements that one task handles at least.
constexpr int64_t kGrain = 1 << 14;

// ATen's derivative, block by block: a block of whole vectors has no last elements of another
// formula, except at the end of a tensor whose rows are no multiple of 16.
at::Tensor gelu_gradient(const at::Tensor& dy, const at::Tensor& x) {
  auto dx = at::empty_like(x);
  const auto from = x.view(-1), up = dy.view(-1);
  auto to = dx.view(-1);
  const int64_t blocks = (x.numel() + kGrain - 1) / kGrain;
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    const at::NoGradGuard no_grad;  // of each thread; a pool's threads have gradients on
    for (int64_t b = begin; b < end; ++b) {
      const int64_t first = b * kGrain, count = std::min(kGrain, x.numel() - first);
      auto out = to.narrow(0, first, count);
      at::gelu_backward_out(out, up.narrow(0, first, count), from.narrow(0, first, count), "none");
    }
  });
  return dx;
}

class GeluFunction : public torch::autograd::Function<GeluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x) {
    ctx->save_for_backward({x});
    const auto wide = x.to(at::kFloat).contiguous();
    auto out = at::empty_like(wide);
    const float* from = wide.const_data_ptr<float>();
    float* to = out.data_ptr<float>();
    at::parallel_for(0, wide.numel(), kGrain, [&](int64_t begin, int64_t end) {
      cpu_kernels().gelu(from + begin, end - begin, to + begin);
    });
    return out.to(x.scalar_type());
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto x = ctx->get_saved_variables()[0];
    const auto dx =
        gelu_gradient(gradients[0].to(at::kFloat).contiguous(), x.to(at::kFloat).contiguous());
    return {dx.to(x.scalar_type())};
  }
};

}  // namespace

at::Tensor gelu(const at::Tensor& x) {
  return x.is_cpu() ? GeluFunction::apply(x) : at::gelu(x);
}

at::Tensor gated_gelu(const at::Tensor& gate_up) {
  const at::NoGradGuard no_grad;
  const int64_t inner = gate_up.size(1) / 2;
  if (!gate_up.is_cpu())
    return at::gelu(gate_up.narrow(1, 0, inner), "tanh") * gate_up.narrow(1, inner, inner);
  const auto wide = gate_up.to(at::kFloat).contiguous();
  auto out = at::empty({wide.size(0), inner}, wide.options());
  const float* from = wide.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(1, inner));
  at::parallel_for(0, wide.size(0), grain, [&](int64_t begin, int64_t end) {
    cpu_kernels().gated_gelu(from + begin * 2 * inner, end - begin, inner, to + begin * inner);
  });
  return out.to(gate_up.scalar_type());
}

}  // namespace preimage::nn
