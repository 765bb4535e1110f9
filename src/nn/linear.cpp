#include "preimage/nn/linear.hpp"

#include <mutex>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu/kernels.hpp"
#include "cuda/cublaslt.hpp"
#include "cuda/float_product.hpp"
#include "cuda/grouped_product.hpp"
#include "held.hpp"
#include "preimage/base/error.hpp"
#include "preimage/nn/free_order.hpp"

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

// c = a B + bias, or c + a B.
void packed_mm_into(const at::Tensor& a, const at::Tensor& packed, const at::Tensor& bias,
                    bool accumulate, at::Tensor& c) {
  const int64_t rows = c.size(0), columns = c.size(1);
  if (rows == 0) return;
  GemmTile tile{};
  tile.accumulate = accumulate;
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
  const int64_t panels = packed.size(0), blocks = (rows + kTaskRows - 1) / kTaskRows;
  // One block of rows at a time: its rows of A and the pages of its rows of C stay near, B streams.
  const auto multiply = [&](int64_t block, int64_t first_panel, int64_t end_panel) {
    cpu_kernels().gemm(tile, block * kTaskRows, std::min(rows, (block + 1) * kTaskRows),
                       first_panel, end_panel);
  };
  // Few blocks are of unlike sizes, so threads share out the panels; of many blocks a thread takes
  // whole ones, which it keeps near.
  const int64_t threads = at::get_num_threads();
  if (blocks < 4 * threads && panels >= 2 * threads) {
    at::parallel_for(0, panels, 1, [&](int64_t begin, int64_t end) {
      for (int64_t block = 0; block < blocks; ++block) multiply(block, begin, end);
    });
    return;
  }
  at::parallel_for(0, panels * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task)
      multiply(task / panels, task % panels, task % panels + 1);
  });
}

at::Tensor packed_mm(const at::Tensor& a, const at::Tensor& packed, int64_t columns,
                     const at::Tensor& bias) {
  auto c = at::empty({a.size(0), columns}, a.options());
  packed_mm_into(a, packed, bias, false, c);
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

// float32 on CUDA: ATen's product chooses its order of sums by the number of rows, so it is taken
// only where any order will do.
bool uses_float_kernel(const at::Tensor& x) {
  return kHasCuda && x.is_cuda() && x.scalar_type() == at::kFloat && !FreeOrder::granted();
}

bool has_kernel(const at::Tensor& x) {
  return uses_kernel(x) || uses_cublaslt(x) || uses_float_kernel(x);
}

}  // namespace

struct Weight::State {
  at::Tensor matrix, bias;           // a dense weight
  std::vector<NarrowMatrix> narrow;  // or these, one below the other
  int64_t out = 0, in = 0;
  std::once_flag forward_once, backward_once, tables_once;
  at::Tensor forward_packed, backward_packed;
  std::vector<MatrixTable> tables;  // of narrow parts on CUDA, for the kernel that decodes

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

// Elements of a narrow weight that are decoded at one time: 64 MiB of float32, or of bfloat16 on
// CUDA.
constexpr int64_t kDecodedElements = 1 << 24;

// Calls body(first row, rows [n, in] in `dtype`) for all rows, in blocks that the weight's shape
// alone decides.
template <class Body>
void for_decoded(const Weight::State& state, at::ScalarType dtype, const Body& body) {
  const int64_t most = kDecodedElements * (dtype == at::kBFloat16 ? 2 : 1);
  const int64_t block = std::max(kPanel, most / state.in / kPanel * kPanel);
  int64_t above = 0;
  for (const auto& part : state.narrow) {
    for (int64_t first = 0; first < part.rows; first += block) {
      body(above + first, decode_rows(part, first, std::min(part.rows, first + block), dtype));
    }
    above += part.rows;
  }
}

// In the dtype of x: float32 in between, rounded once.
at::Tensor kernel_product(const at::Tensor& x, const at::Tensor& packed, int64_t columns,
                          const at::Tensor& bias) {
  const auto wide_bias = bias.defined() ? bias.detach().to(at::kFloat) : bias;
  return packed_mm(x.to(at::kFloat), packed, columns, wide_bias).to(x.scalar_type());
}

at::Tensor dense_product(const at::Tensor& x, const at::Tensor& matrix, const at::Tensor& bias) {
  if constexpr (kHasCuda) {
    if (uses_cublaslt(x)) return cublaslt_linear(x, matrix, bias);
    if (uses_float_kernel(x)) return cuda_float_linear(x, matrix, bias);
  }
  if (uses_kernel(x)) return kernel_product(x, pack(matrix.t()), matrix.size(0), bias);
  return plain_linear(x, matrix, bias);
}

at::Tensor dense_input_gradient(const at::Tensor& dy, const at::Tensor& matrix) {
  if constexpr (kHasCuda) {
    if (uses_cublaslt(dy)) return cublaslt_input_gradient(dy.contiguous(), matrix);
    if (uses_float_kernel(dy)) return cuda_float_input_gradient(dy, matrix);
  }
  return at::mm(dy, matrix);
}

// For some rows the numbers are decoded on their way to the tensor cores; for many it is cheaper to
// write them out as bfloat16, a block that stays in the second-level cache at a time.
constexpr int64_t kMostDirectRows = 128;

// Whether the kernel that decodes took the product.
bool direct_product(const at::Tensor& x, const Weight& weight, at::Tensor& out) {
  if constexpr (kHasCuda) {
    auto& state = weight.state();
    if (!uses_cublaslt(x)) return false;
    std::call_once(state.tables_once, [&] { state.tables = matrix_tables({weight}); });
    // Both ways have the same bits only where both are the chain of family 66.
    if (state.tables.empty() || (x.size(0) > kMostDirectRows && cublaslt_chains())) return false;
    const auto rows = cuda_in_eights(x);
    for (const auto& table : state.tables)
      cuda_grouped_product({rows, table, nullptr, 0, false}, out);
    return true;
  }
  return false;
}

// A product of E4M3 numbers, scaled by row and column; on a GPU that multiplies them as they are,
// elsewhere as float32, which holds every product of two exactly.
void eight_bit_product(const NarrowMatrix& x, const NarrowMatrix& part, const at::Tensor& bias,
                       at::Tensor& out) {
  if constexpr (kHasCuda) {
    if (uses_cublaslt(out) && cublaslt_multiplies_e4m3() && part.columns % 16 == 0)
      return cublaslt_e4m3_into({x.codes, x.scales}, {part.codes, part.scales}, bias, out);
  }
  auto sums = dense_product(x.codes.to(at::kFloat), part.codes.to(at::kFloat), {});
  sums = sums.mul_(x.scales).mul_(part.scales.t());
  out.copy_(bias.defined() ? sums.add_(bias) : sums);
}

at::Tensor eight_bit_product(const at::Tensor& x, const Weight::State& state) {
  auto out = at::empty({x.size(0), state.out}, x.options());
  const auto rows = quantize_rows(x, NarrowMatrix::Codes::fp8);
  int64_t above = 0;
  for (const auto& part : state.narrow) {
    auto columns = out.narrow(1, above, part.rows);
    const auto bias = state.bias.defined() ? state.bias.narrow(0, above, part.rows) : at::Tensor();
    eight_bit_product(rows, part, bias, columns);
    above += part.rows;
  }
  return out;
}

at::Tensor narrow_product(const at::Tensor& x, const Weight& weight) {
  const auto& state = weight.state();
  if (state.narrow.front().rounds_input) return eight_bit_product(x, state);
  auto out = at::empty({x.size(0), state.out}, x.options());
  if (direct_product(x, weight, out)) return out;
  for_decoded(state, x.scalar_type(), [&](int64_t first, const at::Tensor& rows) {
    const int64_t count = rows.size(0);
    const auto bias = state.bias.defined() ? state.bias.narrow(0, first, count) : at::Tensor();
    auto part = out.narrow(1, first, count);
    if constexpr (kHasCuda) {
      if (uses_cublaslt(x)) return cublaslt_linear_into(x, rows, bias, part);
    }
    part.copy_(dense_product(x, rows, bias));
  });
  return out;
}

// The sum over the blocks of rows goes from the first to the last. On the CPU in float32 it is the
// chain of the dense product itself, carried on from block to block.
at::Tensor narrow_input_gradient(const at::Tensor& dy, const Weight::State& state) {
  auto sum = at::zeros({dy.size(0), state.in}, dy.options().dtype(at::kFloat));
  for_decoded(state, dy.scalar_type(), [&](int64_t first, const at::Tensor& rows) {
    const auto part = dy.narrow(1, first, rows.size(0));
    if (uses_kernel(dy)) {
      packed_mm_into(part.to(at::kFloat), pack(rows), {}, /*accumulate=*/true, sum);
    } else {
      sum.add_(dense_input_gradient(part, rows));
    }
  });
  return sum.to(dy.scalar_type());
}

// The three products of a layer, none with a graph: each row-independent in x or dy.
at::Tensor product(const at::Tensor& x, const Weight& weight) {
  auto& state = weight.state();
  if (weight.narrow()) return narrow_product(x, weight);
  if constexpr (kHasCuda) {
    if (uses_cublaslt(x)) return cublaslt_linear(x, state.matrix, state.bias);
    if (uses_float_kernel(x)) return cuda_float_linear(x, state.matrix, state.bias);
  }
  return kernel_product(x, state.for_product(), state.matrix.size(0), state.bias);
}

at::Tensor input_gradient(const at::Tensor& dy, Weight::State& state) {
  if (!state.narrow.empty()) return narrow_input_gradient(dy, state);
  if constexpr (kHasCuda) {
    if (uses_cublaslt(dy)) return cublaslt_input_gradient(dy, state.matrix);
    if (dy.is_cuda()) return cuda_float_input_gradient(dy, state.matrix);
  }
  return kernel_product(dy, state.for_gradient(), state.matrix.size(1), {});
}

// dy^T x: a sum over the rows, so of the whole batch; on CUDA cuBLAS orders it by the shape.
at::Tensor weight_gradient(const at::Tensor& dy, const at::Tensor& x) {
  if (dy.is_cuda()) return at::mm(dy.t(), x);
  return chained_mm(dy.to(at::kFloat).t(), x.to(at::kFloat)).to(x.scalar_type());
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  // matrix and bias are inputs of their own only so that autograd knows them.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x,
                            const std::optional<at::Tensor>& matrix,
                            const std::optional<at::Tensor>& bias, const Weight& weight) {
    const bool train = matrix && matrix->requires_grad();
    ctx->saved_data["weight"] = hold(weight);
    ctx->saved_data["train"] = train;
    ctx->saved_data["train_bias"] = bias && bias->requires_grad();
    if (train) ctx->save_for_backward({x});
    return product(x, weight);
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
  state_->out = matrix.size(0), state_->in = matrix.size(1);
  base::check(!bias.defined() || (bias.dim() == 1 && bias.size(0) == state_->out),
              "a bias is [out]");
  state_->matrix = std::move(matrix);
  state_->bias = std::move(bias);
}

Weight::Weight(NarrowMatrix matrix, at::Tensor bias) : state_(std::make_shared<State>()) {
  state_->out = matrix.rows, state_->in = matrix.columns;
  base::check(
      !matrix.rounds_input || (matrix.format == NarrowMatrix::Codes::fp8 &&
                               matrix.block_rows == 1 && matrix.block_columns == matrix.columns),
      "inputs are rounded for E4M3 matrices with one scale a row");
  base::check(!bias.defined() || (bias.dim() == 1 && bias.size(0) == state_->out),
              "a bias is [out]");
  state_->narrow.push_back(std::move(matrix));
  state_->bias = std::move(bias);
}

bool Weight::narrow() const {
  return !state_->narrow.empty();
}
const at::Tensor& Weight::matrix() const {
  base::check(!narrow(), "a narrow weight has no matrix; dense() makes one");
  return state_->matrix;
}
const std::vector<NarrowMatrix>& Weight::parts() const {
  return state_->narrow;
}
const at::Tensor& Weight::bias() const {
  return state_->bias;
}
int64_t Weight::out_features() const {
  return state_->out;
}
int64_t Weight::in_features() const {
  return state_->in;
}

int64_t Weight::bytes() const {
  int64_t total = narrow() ? 0 : static_cast<int64_t>(state_->matrix.nbytes());
  for (const auto& part : state_->narrow) total += part.bytes();
  return total + (state_->bias.defined() ? static_cast<int64_t>(state_->bias.nbytes()) : 0);
}

at::Tensor Weight::dense(at::ScalarType dtype) const {
  if (!narrow()) return state_->matrix.to(dtype);
  std::vector<at::Tensor> parts;
  for (const auto& part : state_->narrow) parts.push_back(decode_rows(part, 0, part.rows, dtype));
  return at::cat(parts);
}

Weight stacked(const std::vector<Weight>& parts, at::Tensor bias) {
  base::check(!parts.empty(), "a stacked weight has parts");
  auto state = std::make_shared<Weight::State>();
  state->in = parts.front().in_features();
  std::vector<at::Tensor> matrices;
  for (const auto& part : parts) {
    const auto& own = part.state();
    const auto& first = parts.front().state();
    base::check(!own.bias.defined() && part.narrow() == parts.front().narrow() &&
                    own.in == state->in &&
                    (!part.narrow() || own.narrow[0].rounds_input == first.narrow[0].rounds_input),
                "stacked weights have one width, one kind and no bias of their own");
    state->out += own.out;
    if (!part.narrow()) matrices.push_back(own.matrix);
    state->narrow.insert(state->narrow.end(), own.narrow.begin(), own.narrow.end());
  }
  if (matrices.size() == 1) return Weight(matrices[0], std::move(bias));
  if (!matrices.empty()) return Weight(at::cat(matrices), std::move(bias));
  state->bias = std::move(bias);
  return Weight(std::move(state));
}

at::Tensor linear(const at::Tensor& x, const Weight& weight) {
  base::check(x.dim() == 2 && x.size(1) == weight.in_features(),
              "linear is given rows of in_features");
  const auto& state = weight.state();
  if (!has_kernel(x) && !weight.narrow()) return plain_linear(x, state.matrix, state.bias);
  const auto optional = [](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional<at::Tensor>(tensor) : std::nullopt;
  };
  return LinearFunction::apply(x.stride(1) == 1 ? x : x.contiguous(), optional(state.matrix),
                               optional(state.bias), weight);
}

at::Tensor linear_input_gradient(const at::Tensor& dy, const Weight& weight) {
  if (!has_kernel(dy) && !weight.narrow()) return at::mm(dy, weight.matrix().detach());
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
