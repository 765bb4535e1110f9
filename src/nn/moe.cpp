#include "preimage/nn/moe.hpp"

#include <cmath>
#include <limits>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// out[i] = x[order[i]] for a permutation; the gradient goes back by its inverse, so that nothing is
// added up in an order that the batch decides.
class PermuteRows : public torch::autograd::Function<PermuteRows> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& order,
                            const at::Tensor& inverse) {
    ctx->save_for_backward({inverse});
    return x.index_select(0, order);
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    return {gradients[0].index_select(0, ctx->get_saved_variables()[0]), {}, {}};
  }
};

// Row t of x [tokens, d] as rows t * k .. t * k + k - 1; the gradients of the copies are summed
// from the first on.
class RepeatRows : public torch::autograd::Function<RepeatRows> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, int64_t k) {
    ctx->saved_data["k"] = k;
    return x.unsqueeze(1).expand({x.size(0), k, x.size(1)}).reshape({-1, x.size(1)});
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const int64_t k = ctx->saved_data["k"].toInt();
    const auto copies = gradients[0].unflatten(0, {-1, k});
    auto sum = copies.select(1, 0);
    for (int64_t j = 1; j < k; ++j) sum = sum + copies.select(1, j);
    return {sum, {}};
  }
};

// On the CPU ATen computes the last elements of a tensor in another way than the others, and which
// those are depends on the batch; on CUDA each element is computed alike. Float32.
class SigmoidFunction : public torch::autograd::Function<SigmoidFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x) {
    at::Tensor y;
    if (x.is_cpu()) {
      const auto from = x.contiguous();
      y = at::empty_like(from);
      const float* in = from.const_data_ptr<float>();
      float* out = y.data_ptr<float>();
      for (int64_t i = 0; i < y.numel(); ++i) out[i] = 1 / (1 + std::exp(-in[i]));
    } else {
      y = at::sigmoid(x);
    }
    ctx->save_for_backward({y});
    return y;
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto y = ctx->get_saved_variables()[0];
    return {gradients[0] * (y * (1 - y))};
  }
};

// [tokens, k] -> [tokens, 1], from the first column on.
at::Tensor sum_columns(const at::Tensor& x) {
  auto sum = x.narrow(1, 0, 1);
  for (int64_t j = 1; j < x.size(1); ++j) sum = sum + x.narrow(1, j, 1);
  return sum;
}

at::Tensor ascending_topk(const at::Tensor& scores, int64_t k) {
  const auto chosen = std::get<1>(scores.detach().topk(k, 1));
  return std::get<0>(chosen.sort(1));
}

}  // namespace

Routing route_softmax(const at::Tensor& logits, int64_t k) {
  const auto experts = ascending_topk(logits, k);
  return {experts, at::softmax(logits.gather(1, experts), 1)};
}

Routing route_grouped_sigmoid(const at::Tensor& logits, const at::Tensor& correction,
                              const GroupedRouting& options) {
  base::check(logits.scalar_type() == at::kFloat, "experts are chosen in float32");
  const auto scores = SigmoidFunction::apply(logits);
  auto deciding = (scores + correction).detach();
  if (options.groups > 1) {
    const auto grouped = deciding.unflatten(1, {options.groups, -1});
    const auto best = std::get<0>(grouped.topk(2, 2));
    const auto group_scores = best.select(2, 0) + best.select(2, 1);
    const auto kept = std::get<1>(group_scores.topk(options.top_groups, 1));
    const auto excluded =
        at::ones_like(group_scores, group_scores.options().dtype(at::kBool)).scatter(1, kept, 0);
    deciding = grouped.masked_fill(excluded.unsqueeze(2), -std::numeric_limits<float>::infinity())
                   .flatten(1);
  }
  const auto experts = ascending_topk(deciding, options.k);
  auto weights = scores.gather(1, experts);
  if (options.normalize) weights = weights / (sum_columns(weights) + 1e-20);
  return {experts, weights * options.scale};
}

at::Tensor mixture(const at::Tensor& x, const Routing& routing, const Expert& expert) {
  const int64_t tokens = x.size(0), k = routing.experts.size(1);
  base::check(routing.experts.size(0) == tokens, "each token has its experts");
  // Pairs (token, j) in the order of their experts, and how many each expert has.
  const auto owners = routing.experts.flatten();
  const auto order = std::get<1>(owners.sort(std::optional<bool>(true), 0, false));
  const auto places = at::arange(order.size(0), order.options());
  const auto inverse = at::empty_like(order).scatter(0, order, places);
  const auto counts = at::bincount(owners).cpu();
  const auto rows = PermuteRows::apply(RepeatRows::apply(x, k), order, inverse);
  std::vector<at::Tensor> parts;
  int64_t first = 0;
  for (int64_t e = 0; e < counts.size(0); ++e) {
    const int64_t count = counts.const_data_ptr<int64_t>()[e];
    if (count == 0) continue;
    parts.push_back(expert(e, rows.narrow(0, first, count)));
    first += count;
  }
  if (parts.empty()) return at::zeros_like(x);
  const auto out = PermuteRows::apply(at::cat(parts), inverse, order).unflatten(0, {tokens, k});
  const auto term = [&](int64_t j) {
    return (out.select(1, j) * routing.weights.select(1, j).unsqueeze(1)).to(x.scalar_type());
  };
  auto sum = term(0);
  for (int64_t j = 1; j < k; ++j) sum = sum + term(j);
  return sum;
}

}  // namespace preimage::nn
