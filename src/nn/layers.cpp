#include "preimage/nn/layers.hpp"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cpu/kernels.hpp"
#include "cuda/kernels.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Constant false in a CPU build, so that no CUDA launcher is referenced there.
bool on_cuda(const at::Tensor& x) {
  return kHasCuda && x.is_cuda();
}

enum class Path { cpu_kernel, cuda_kernel, plain };

Path path_of(const at::Tensor& x) {
  if (x.is_cpu() && x.scalar_type() == at::kFloat) return Path::cpu_kernel;
  if (on_cuda(x) && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16))
    return Path::cuda_kernel;
  return Path::plain;
}

// Kernels without a backward pass are for tensors that nobody derives by.
bool needs_graph(const at::Tensor& x) {
  return at::GradMode::is_enabled() && x.requires_grad();
}

// Rows that one task of an element-wise kernel handles at least.
constexpr int64_t kRowGrain = 16;

template <class Body>
void for_rows(int64_t rows, const Body& body) {
  at::parallel_for(0, rows, kRowGrain,
                   [&](int64_t begin, int64_t end) { body(begin, end - begin); });
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            double eps) {
    const int64_t width = x.size(1);
    auto y = at::empty_like(x);
    auto rstd = at::empty({x.size(0)}, x.options().dtype(at::kFloat));
    if (on_cuda(x)) {
      cuda_rms_norm(x, weight, eps, y, rstd);
    } else {
      for_rows(x.size(0), [&](int64_t first, int64_t rows) {
        cpu_kernels().rms_norm(x.const_data_ptr<float>() + first * width,
                               weight.const_data_ptr<float>(), static_cast<float>(eps), rows, width,
                               y.data_ptr<float>() + first * width, rstd.data_ptr<float>() + first);
      });
    }
    ctx->save_for_backward({x, weight, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1], &rstd = saved[2];
    const auto dy = gradients[0].contiguous();
    const bool train = ctx->needs_input_grad(1);
    auto dx = at::empty_like(x);
    at::Tensor dweight;
    if (on_cuda(x)) {
      cuda_rms_norm_backward(dy, x, weight, rstd, dx);
      if (train)
        dweight = (dy.to(at::kFloat) * x.to(at::kFloat) * rstd.unsqueeze(1))
                      .sum(0)
                      .to(weight.scalar_type());
      return {dx, dweight, {}};
    }
    const int64_t width = x.size(1);
    at::Tensor normed = train ? at::empty_like(x) : at::Tensor();
    for_rows(x.size(0), [&](int64_t first, int64_t rows) {
      cpu_kernels().rms_norm_backward(
          dy.const_data_ptr<float>() + first * width, x.const_data_ptr<float>() + first * width,
          weight.const_data_ptr<float>(), rstd.const_data_ptr<float>() + first, rows, width,
          dx.data_ptr<float>() + first * width,
          train ? normed.data_ptr<float>() + first * width : nullptr);
    });
    if (train) dweight = chained_mm(at::ones({1, x.size(0)}, x.options()), normed).squeeze(0);
    return {dx, dweight, {}};
  }
};

class SwigluFunction : public torch::autograd::Function<SwigluFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    const int64_t inner = gate_up.size(1) / 2;
    auto out = at::empty({gate_up.size(0), inner}, gate_up.options());
    if (on_cuda(gate_up)) {
      cuda_swiglu(gate_up, out);
    } else {
      for_rows(gate_up.size(0), [&](int64_t first, int64_t rows) {
        cpu_kernels().swiglu(gate_up.const_data_ptr<float>() + first * 2 * inner, rows, inner,
                             out.data_ptr<float>() + first * inner);
      });
    }
    ctx->save_for_backward({gate_up});
    return out;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto gate_up = ctx->get_saved_variables()[0];
    const auto d_out = gradients[0].contiguous();
    const int64_t inner = gate_up.size(1) / 2;
    auto d_gate_up = at::empty_like(gate_up);
    if (on_cuda(gate_up)) {
      cuda_swiglu_backward(d_out, gate_up, d_gate_up);
    } else {
      for_rows(gate_up.size(0), [&](int64_t first, int64_t rows) {
        cpu_kernels().swiglu_backward(d_out.const_data_ptr<float>() + first * inner,
                                      gate_up.const_data_ptr<float>() + first * 2 * inner, rows,
                                      inner, d_gate_up.data_ptr<float>() + first * 2 * inner);
      });
    }
    return {d_gate_up};
  }
};

// out = x rotated by `direction` times the angle of each token's position.
at::Tensor rotated(const at::Tensor& x, const RotaryTable& table, const at::Tensor& positions,
                   int64_t heads, float direction) {
  auto out = at::empty_like(x);
  if (on_cuda(x)) {
    cuda_rotary(x, table.cos, table.sin, positions, heads, direction, out);
    return out;
  }
  const int64_t half = table.cos.size(1), width = x.size(1);
  const float *cos = table.cos.const_data_ptr<float>(), *sin = table.sin.const_data_ptr<float>();
  const int64_t* at_position = positions.const_data_ptr<int64_t>();
  const float* from = x.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  for_rows(x.size(0), [&](int64_t first, int64_t rows) {
    for (int64_t row = first; row < first + rows; ++row) {
      const float* c = cos + at_position[row] * half;
      const float* s = sin + at_position[row] * half;
      const float* in = from + row * width;
      float* o = to + row * width;
      for (int64_t head = 0; head < heads; ++head, in += 2 * half, o += 2 * half) {
        for (int64_t j = 0; j < half; ++j) {
          const float angle_sin = direction * s[j];
          o[j] = in[j] * c[j] - in[j + half] * angle_sin;
          o[j + half] = in[j + half] * c[j] + in[j] * angle_sin;
        }
      }
      std::copy(in, from + (row + 1) * width, o);
    }
  });
  return out;
}

class RotaryFunction : public torch::autograd::Function<RotaryFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const RotaryTable& table,
                            const at::Tensor& positions, int64_t heads) {
    ctx->save_for_backward({table.cos, table.sin, positions});
    ctx->saved_data["heads"] = heads;
    return rotated(x, table, positions, heads, 1.0f);
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    return {rotated(gradients[0].contiguous(), {saved[0], saved[1]}, saved[2],
                    ctx->saved_data["heads"].toInt(), -1.0f),
            {},
            {},
            {}};
  }
};

// The rounding of the published implementation: cos and sin in the dtype of x, products rounded in
// it.
at::Tensor plain_rotary(const at::Tensor& x, const RotaryTable& table, const at::Tensor& positions,
                        int64_t heads) {
  const int64_t half = table.cos.size(1);
  const auto cos = at::index_select(table.cos, 0, positions).to(x.scalar_type()).unsqueeze(1);
  const auto sin = at::index_select(table.sin, 0, positions).to(x.scalar_type()).unsqueeze(1);
  const auto parts = x.split_with_sizes({heads * 2 * half, x.size(1) - heads * 2 * half}, 1);
  const auto u = parts[0].unflatten(1, {heads, 2 * half});
  const auto u1 = u.narrow(2, 0, half), u2 = u.narrow(2, half, half);
  const auto turned = at::cat({u1 * cos - u2 * sin, u2 * cos + u1 * sin}, 2).flatten(1);
  return at::cat({turned, parts[1]}, 1);
}

// Rows whose logits exist at one time: bounds the memory at a vocabulary of 150,000.
constexpr int64_t kLogitBytes = int64_t{256} << 20;

// Fills the rows' nll and greedy and, when `gradient`, turns logits into their weighted gradient.
void softmax_nll_(at::Tensor& logits, const at::Tensor& targets, const at::Tensor& weights,
                  bool gradient, CrossEntropy& out) {
  auto &nll = out.nll, &greedy = out.greedy;
  if (path_of(logits) != Path::cpu_kernel) greedy.copy_(logits.argmax(1) == targets);
  switch (path_of(logits)) {
    case Path::cuda_kernel:
      if constexpr (kHasCuda) cuda_softmax_nll(logits, targets, weights, gradient, nll);
      return;
    case Path::cpu_kernel: {
      const int64_t vocabulary = logits.size(1);
      float* data = logits.data_ptr<float>();
      at::parallel_for(0, logits.size(0), 1, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          const auto token = cpu_kernels().softmax_nll(
              data + row * vocabulary, vocabulary, targets.const_data_ptr<int64_t>()[row],
              weights.const_data_ptr<float>()[row], gradient);
          nll.data_ptr<float>()[row] = token.nll;
          greedy.data_ptr<bool>()[row] = token.greedy;
        }
      });
      return;
    }
    case Path::plain: {
      const auto logp = at::log_softmax(logits, 1, at::kFloat);
      nll.copy_(-logp.gather(1, targets.unsqueeze(1)).squeeze(1));
      if (!gradient) return;
      auto p = logp.exp();
      p.scatter_add_(1, targets.unsqueeze(1), -at::ones_like(targets, p.options()).unsqueeze(1));
      logits.copy_(p * weights.unsqueeze(1));
      return;
    }
  }
}

class CrossEntropyFunction : public torch::autograd::Function<CrossEntropyFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& hidden,
                               const std::optional<at::Tensor>& matrix, const Weight& head,
                               const at::Tensor& targets, const at::Tensor& weights) {
    const bool train_hidden = hidden.requires_grad();
    const bool train_matrix = matrix && matrix->requires_grad();
    const int64_t rows = hidden.size(0), vocabulary = head.out_features();
    const int64_t chunk = std::max<int64_t>(
        64, kLogitBytes / (vocabulary * static_cast<int64_t>(hidden.element_size())));
    CrossEntropy all{{},
                     at::empty({rows}, hidden.options().dtype(at::kFloat)),
                     at::empty({rows}, hidden.options().dtype(at::kBool))};
    at::Tensor d_hidden = train_hidden ? at::empty_like(hidden) : at::Tensor();
    at::Tensor d_matrix;
    const Weight frozen = train_matrix ? Weight(matrix->detach()) : head;
    for (int64_t first = 0; first < rows; first += chunk) {
      const int64_t count = std::min(chunk, rows - first);
      const auto h = hidden.detach().narrow(0, first, count);
      auto logits = linear(h, frozen);
      CrossEntropy part{{}, all.nll.narrow(0, first, count), all.greedy.narrow(0, first, count)};
      softmax_nll_(logits, targets.narrow(0, first, count), weights.narrow(0, first, count),
                   train_hidden || train_matrix, part);
      if (train_hidden)
        d_hidden.narrow(0, first, count).copy_(linear_input_gradient(logits, frozen));
      if (train_matrix) {
        const auto part_gradient = path_of(logits) == Path::cpu_kernel
                                       ? chained_mm(logits.t(), h.contiguous())
                                       : at::mm(logits.t(), h);
        d_matrix = d_matrix.defined() ? d_matrix + part_gradient : part_gradient;
      }
    }
    ctx->save_for_backward({d_hidden, d_matrix});
    ctx->mark_non_differentiable({all.nll, all.greedy});
    return {(all.nll * weights).sum(), all.nll, all.greedy};
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const auto scaled = [&](const at::Tensor& g) {
      return g.defined() ? g * gradients[0].to(g.scalar_type()) : at::Tensor();
    };
    return {scaled(saved[0]), scaled(saved[1]), {}, {}, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (path_of(x) == Path::plain) return plain_rms_norm(x, weight, eps);
  return RmsNormFunction::apply(x.contiguous(), weight, eps);
}

at::Tensor plain_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const auto wide = x.to(at::kFloat);
  const auto rstd = at::rsqrt(wide.square().mean(-1, true) + eps);
  return (wide * rstd).to(x.scalar_type()) * weight;
}

at::Tensor wide_rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  // In float32 nothing is rounded in between.
  if (x.scalar_type() == at::kFloat) return rms_norm(x, weight, eps);
  if constexpr (kHasCuda) {
    if (path_of(x) == Path::cuda_kernel && !needs_graph(x) && !needs_graph(weight)) {
      const auto rows = x.contiguous();
      auto y = at::empty_like(rows);
      cuda_wide_rms_norm(rows, weight, eps, y);
      return y;
    }
  }
  return plain_rms_norm(x.to(at::kFloat), weight.to(at::kFloat), eps).to(x.scalar_type());
}

NormedSum add_rms_norm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                       const NormOptions& options) {
  if constexpr (kHasCuda) {
    if (path_of(x) == Path::cuda_kernel && x.is_contiguous() && y.is_contiguous() &&
        !needs_graph(x) && !needs_graph(y) && !needs_graph(weight) &&
        cuda_add_rms_norm_supports(x)) {
      NormedSum out{at::empty_like(x), at::empty_like(x)};
      cuda_add_rms_norm({x, y, weight, options.eps, options.wide}, out.sum, out.normed);
      return out;
    }
  }
  const auto sum = x + y;
  return {sum, (options.wide ? wide_rms_norm : rms_norm)(sum, weight, options.eps)};
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  if (path_of(gate_up) == Path::plain) return plain_swiglu(gate_up);
  return SwigluFunction::apply(gate_up.contiguous());
}

at::Tensor plain_swiglu(const at::Tensor& gate_up) {
  const auto parts = gate_up.chunk(2, 1);
  return at::silu(parts[0]) * parts[1];
}

at::Tensor clamped_swiglu(const at::Tensor& gate_up, double limit, double alpha) {
  if (gate_up.is_cpu() && gate_up.scalar_type() != at::kFloat)
    return clamped_swiglu(gate_up.to(at::kFloat), limit, alpha).to(gate_up.scalar_type());
  if constexpr (kHasCuda) {
    if (path_of(gate_up) == Path::cuda_kernel && !needs_graph(gate_up)) {
      auto out = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
      cuda_clamped_swiglu(gate_up.contiguous(), limit, alpha, out);
      return out;
    }
  }
  const auto parts = gate_up.chunk(2, 1);
  const auto gate = parts[0].clamp_max(limit), up = parts[1].clamp(-limit, limit) + 1;
  if (path_of(gate_up) != Path::cpu_kernel) return up * (gate * at::sigmoid(gate * alpha));
  // gate sigmoid(a gate) = silu(a gate) / a, and silu by the kernel, whose bits no neighbour
  // changes.
  return swiglu(at::cat({gate * alpha, up / alpha}, 1));
}

at::Tensor rotary(const at::Tensor& x, const RotaryTable& table, const at::Tensor& positions,
                  int64_t rotated_heads) {
  base::check(rotated_heads * 2 * table.cos.size(1) <= x.size(1),
              "rotary is given rows with the rotated heads first");
  if (path_of(x) == Path::plain) return plain_rotary(x, table, positions, rotated_heads);
  return RotaryFunction::apply(x.contiguous(), table, positions, rotated_heads);
}

at::Tensor normed_rotary(at::Tensor qkv, const HeadNorms& norms, const RotaryTable& table,
                         const at::Tensor& positions) {
  const int64_t size = norms.query_weight.size(0), turned = norms.query_heads + norms.key_heads;
  if constexpr (kHasCuda) {
    if (qkv.is_cuda() && !needs_graph(qkv) && !needs_graph(norms.query_weight) &&
        cuda_normed_rotary_supports(qkv, size)) {
      cuda_normed_rotary({norms.query_weight, norms.key_weight, table.cos, table.sin, positions,
                          norms.query_heads, norms.key_heads, norms.eps},
                         qkv);
      return qkv;
    }
  }
  const auto norm = [&](int64_t first, int64_t heads, const at::Tensor& weight) {
    const auto rows = qkv.narrow(1, first * size, heads * size).reshape({-1, size});
    return rms_norm(rows, weight, norms.eps).view({-1, heads * size});
  };
  const auto rest = qkv.narrow(1, turned * size, qkv.size(1) - turned * size);
  return rotary(at::cat({norm(0, norms.query_heads, norms.query_weight),
                         norm(norms.query_heads, norms.key_heads, norms.key_weight), rest},
                        1),
                table, positions, turned);
}

CrossEntropy linear_cross_entropy(const at::Tensor& hidden, const Weight& head,
                                  const at::Tensor& targets, const at::Tensor& weights) {
  base::check(
      hidden.dim() == 2 && targets.size(0) == hidden.size(0) && weights.size(0) == hidden.size(0),
      "linear_cross_entropy is given one target and one weight for each row");
  base::check(!head.bias().defined(), "a vocabulary projection has no bias");
  const auto matrix = head.narrow() ? std::nullopt : std::optional<at::Tensor>(head.matrix());
  const auto out = CrossEntropyFunction::apply(hidden.contiguous(), matrix, head, targets, weights);
  return {out[0], out[1], out[2]};
}

}  // namespace preimage::nn
