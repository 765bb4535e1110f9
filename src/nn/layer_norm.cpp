#include "preimage/nn/layer_norm.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "preimage/nn/linear.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Sum over the rows of a float32 matrix, one chain for each column.
at::Tensor chained_column_sum(const at::Tensor& rows) {
  return chained_mm(at::ones({1, rows.size(0)}, rows.options()), rows).squeeze(0);
}

class LayerNormFunction : public torch::autograd::Function<LayerNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, double eps) {
    const auto [y, mean, rstd] = at::native_layer_norm(x, {x.size(1)}, weight, bias, eps);
    ctx->save_for_backward({x, weight, bias, mean, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &bias = saved[2], &mean = saved[3],
               &rstd = saved[4];
    const auto dy = gradients[0].contiguous();
    const bool trains = ctx->needs_input_grad(1) || ctx->needs_input_grad(2);
    const auto dx = std::get<0>(at::native_layer_norm_backward(
        dy, x, {x.size(1)}, mean, rstd, weight, bias, {ctx->needs_input_grad(0), false, false}));
    if (!trains) return {dx, {}, {}, {}};
    return {dx, chained_column_sum(dy * ((x - mean) * rstd)), chained_column_sum(dy), {}};
  }
};

}  // namespace

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  if (!x.is_cpu() || x.scalar_type() != at::kFloat)
    return at::layer_norm(x, {x.size(1)}, weight, bias, eps);
  return LayerNormFunction::apply(x.contiguous(), weight, bias, eps);
}

}  // namespace preimage::nn
