#include "preimage/nn/linear.hpp"

#include <mutex>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu_kernels.hpp"
#include "cublaslt.hpp"
#include "held.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

// B [depth, columns] (any strides) as panels [panels, depth, kPanel].
at::Tensor pack(const at::Tensor& b) {
  const int64_t depth = b.size(0), columns = b.size(1);
  const int64_t panels = (columns + kPanel - 1) / kPanel;
  auto packed = at::zeros({panels, depth, kPanel}, b.options());
  const int64_t whole = columns / kPanel;
  if (whole > 0) {
    packed.narrow(0, 0, whole)
        .copy_(b.narrow(1, 0, whole * kPanel).unflatten(1, {whole, kPanel}).permute({1, 0, 2}));
  }
  if (whole < panels) {
    packed[whole]
        .narrow(1, 0, columns - whole * kPanel)
        .copy_(b.narrow(1, whole * kPanel, columns - whole * kPanel));
  }
  return packed;
}

// Rows of A that one task handles: a block of the kernel's row tiles that stays in the second-level
// cache together with one panel.
constexpr int64_t kTaskRows = 14 * 12;

at::Tensor packed_mm(const at::Tensor& a, const at::Tensor& packed, int64_t columns,
                     const at::Tensor& bias) {
  const int64_t rows = a.size(0);
  auto c = at::empty({rows, columns}, a.options());
  if (rows == 0) return c;
  GemmTile tile{};
  tile.a = a.const_data_ptr<float>();
  tile.a_row = a.stride(0), tile.a_col = a.stride(1);
  if (packed.scalar_type() == at::kBFloat16) {
    tile.packed_bf16 = reinterpret_cast<const uint16_t*>(packed.const_data_ptr<at::BFloat16>());
  } else {
    tile.packed = packed.const_data_ptr<float>();
  }
  tile.bias = bias.defined() ? bias.const_data_ptr<float>() : nullptr;
  tile.c = c.data_ptr<float>();
  tile.c_row = columns, tile.depth = a.size(1), tile.columns = columns;
  const auto& kernels = cpu_kernels();
  const int64_t panels = packed.size(0);
  const int64_t blocks = (rows + kTaskRows - 1) / kTaskRows;
  // One block of rows at a time: its rows of A and the pages of its rows of C stay near, B streams.
  at::parallel_for(0, panels * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = task / panels, panel = task % panels;
      kernels.gemm(tile, block * kTaskRows, std::min(rows, (block + 1) * kTaskRows), panel,
                   panel + 1);
    }
  });
  return c;
}

// A bfloat16 product of ATen depends on the other rows: ours is a chain in float32 over weights
// that stay bfloat16 in memory, rounded once.
bool uses_kernel(const at::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}
bool uses_cublaslt(const at::Tensor& x) {
  return kHasCuda && x.is_cuda() && x.scalar_type() == at::kBFloat16;
}

}  // namespace

struct Weight::State {
  at::Tensor matrix, bias;
  std::once_flag forward_once, backward_once;
  at::Tensor forward_packed, backward_packed;

  const at::Tensor& for_product() {
    std::call_once(forward_once, [&] { forward_packed = pack(matrix.detach().t()); });
    return forward_packed;
  }
  const at::Tensor& for_gradient() {
    std::call_once(backward_once, [&] { backward_packed = pack(matrix.detach()); });
    return backward_packed;
  }
};

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The three products of a layer, none with a graph: each row-independent in x or dy.
at::Tensor product(const at::Tensor& x, Weight::State& state) {
  if constexpr (kHasCuda) {
    if (uses_cublaslt(x)) return cublaslt_linear(x, state.matrix, state.bias);
  }
  const auto bias = state.bias.defined() ? state.bias.detach().to(at::kFloat) : at::Tensor();
  return packed_mm(x.to(at::kFloat), state.for_product(), state.matrix.size(0), bias)
      .to(x.scalar_type());
}

at::Tensor input_gradient(const at::Tensor& dy, Weight::State& state) {
  if constexpr (kHasCuda) {
    if (uses_cublaslt(dy)) return cublaslt_input_gradient(dy, state.matrix);
  }
  return packed_mm(dy.to(at::kFloat), state.for_gradient(), state.matrix.size(1), {})
      .to(dy.scalar_type());
}

// dy^T x: a sum over the rows, so of the whole batch; on CUDA cuBLAS orders it by the shape.
at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x) {
  if (uses_cublaslt(dy)) return at::mm(dy.t(), x);
  return chained_mm(dy.to(at::kFloat).t(), x.to(at::kFloat)).to(x.scalar_type());
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  // matrix and bias are inputs of their own only so that autograd knows them.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& matrix,
                            const std::optional<at::Tensor>& bias, const Weight& weight) {
    auto& state = weight.state();
    ctx->saved_data["weight"] = hold(weight);
    ctx->saved_data["train"] = matrix.requires_grad();
    ctx->saved_data["train_bias"] = bias && bias->requires_grad();
    if (matrix.requires_grad()) ctx->save_for_backward({x});
    return product(x, state);
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto dy = gradients[0].contiguous();
    auto& state = held<Weight>(ctx->saved_data["weight"]).state();
    at::Tensor dx, dmatrix, dbias;
    if (ctx->needs_input_grad(0)) dx = input_gradient(dy, state);
    if (ctx->saved_data["train"].toBool()) {
      const auto x = ctx->get_saved_variables()[0];
      dmatrix = weight_gradient(dy, x);
    }
    if (ctx->saved_data["train_bias"].toBool()) {
      // A chain over the rows, like every other sum here: at::sum splits by threads.
      dbias = weight_gradient(at::ones({dy.size(0), 1}, dy.options()), dy).squeeze(0);
    }
    return {dx, dmatrix, dbias, {}};
  }
};

}  // namespace

Weight::Weight(at::Tensor matrix, at::Tensor bias) : state_(std::make_shared<State>()) {
  base::check(matrix.dim() == 2, "a weight is a matrix [out, in]");
  base::check(!bias.defined() || (bias.dim() == 1 && bias.size(0) == matrix.size(0)),
              "a bias is [out]");
  state_->matrix = std::move(matrix);
  state_->bias = std::move(bias);
}

const at::Tensor& Weight::matrix() const {
  return state_->matrix;
}
const at::Tensor& Weight::bias() const {
  return state_->bias;
}

at::Tensor linear(const at::Tensor& x, const Weight& weight) {
  base::check(x.dim() == 2 && x.size(1) == weight.in_features(),
              "linear is given rows of in_features");
  // Float32 on CUDA has no kernel of its own: ATen's product, in full float32 unless TF32 is asked
  // for.
  if (!uses_kernel(x) && !uses_cublaslt(x)) return plain_linear(x, weight.matrix(), weight.bias());
  const auto& bias = weight.bias();
  return LinearFunction::apply(x.stride(1) == 1 ? x : x.contiguous(), weight.matrix(),
                               bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt,
                               weight);
}

at::Tensor linear_input_gradient(const at::Tensor& dy, const Weight& weight) {
  if (!uses_kernel(dy) && !uses_cublaslt(dy)) return at::mm(dy, weight.matrix().detach());
  return input_gradient(dy, weight.state());
}

at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias) {
  return at::linear(x, matrix, bias.defined() ? std::optional<at::Tensor>(bias) : std::nullopt);
}

at::Tensor chained_mm(const at::Tensor& a, const at::Tensor& b) {
  base::check(a.is_cpu() && a.scalar_type() == at::kFloat && b.scalar_type() == at::kFloat &&
                  a.size(1) == b.size(0),
              "chained_mm is given float32 matrices on the CPU");
  return packed_mm(a, pack(b), b.size(1), {});
}

}  // namespace preimage::nn
