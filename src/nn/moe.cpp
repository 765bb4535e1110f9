#include "preimage/nn/moe.hpp"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda/grouped_product.hpp"
#include "cuda/kernels.hpp"
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

// On CUDA of a tie the first; ATen says nothing of ties.
at::Tensor ascending_topk(const at::Tensor& scores, int64_t k) {
  if constexpr (kHasCuda) {
    if (scores.is_cuda() && scores.size(1) <= kMostGroups)
      return cuda_top_groups(scores.detach(), k);
  }
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
    const auto kept = ascending_topk(group_scores, options.top_groups);
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

struct ExpertLayers::State {
  std::vector<Weight> first, second;
  Activation activation;
  std::vector<MatrixTable> first_tables, second_tables;  // on CUDA, where the kernel reads them
};

namespace {

// Each pair's row of x (`choices` pairs a row) times the matrix of its group, in the order of
// places; or, without choices, rows that lie in the order of places, in the order of pairs.
at::Tensor grouped_rows(const at::Tensor& x, const std::vector<MatrixTable>& tables,
                        const RowGroups& groups, int64_t choices) {
  int64_t columns = 0;
  for (const auto& table : tables) columns += table.columns;
  auto y = at::empty({groups.order.size(0), columns}, x.options());
  const bool narrow = tables.front().form != MatrixTable::Form::bfloat16;
  if constexpr (kHasCuda) {
    const auto rows = narrow ? cuda_in_eights(x) : x.contiguous();
    for (const auto& table : tables)
      cuda_grouped_product({rows, table, &groups, choices, /*to_pairs=*/choices == 0}, y);
  }
  return y;
}

at::Tensor device_mixture(const at::Tensor& x, const Routing& routing,
                          const ExpertLayers::State& experts) {
  const int64_t k = routing.experts.size(1);
  auto out = at::empty({x.size(0), experts.second.front().out_features()}, x.options());
  if constexpr (kHasCuda) {
    const auto groups =
        cuda_group_rows(routing.experts.contiguous(), static_cast<int64_t>(experts.first.size()));
    const auto inner = experts.activation(grouped_rows(x, experts.first_tables, groups, k));
    const auto terms = grouped_rows(inner, experts.second_tables, groups, 0);
    cuda_weighted_sum(terms, routing.weights.contiguous(), out);
  }
  return out;
}

}  // namespace

ExpertLayers::ExpertLayers(std::vector<Weight> first, std::vector<Weight> second,
                           Activation activation)
    : state_(std::make_shared<State>()) {
  base::check(!first.empty() && first.size() == second.size(),
              "every expert has a first and a second weight");
  state_->first = std::move(first), state_->second = std::move(second);
  state_->activation = std::move(activation);
  if constexpr (kHasCuda) {
    state_->first_tables = matrix_tables(state_->first);
    state_->second_tables = matrix_tables(state_->second);
  }
}

int64_t ExpertLayers::count() const {
  return static_cast<int64_t>(state_->first.size());
}

at::Tensor ExpertLayers::of(int64_t expert, const at::Tensor& rows) const {
  const auto i = static_cast<size_t>(expert);
  return linear(state_->activation(linear(rows, state_->first[i])), state_->second[i]);
}

bool ExpertLayers::on_device(at::ScalarType dtype) const {
  const auto trained = [](const Weight& w) { return !w.narrow() && w.matrix().requires_grad(); };
  return dtype == at::kBFloat16 && !state_->first_tables.empty() &&
         !state_->second_tables.empty() && count() <= kMostGroups &&
         !(at::GradMode::is_enabled() && trained(state_->first[0]));
}

at::Tensor mixture(const at::Tensor& x, const Routing& routing, const ExpertLayers& experts) {
  if (experts.on_device(x.scalar_type()) && x.is_cuda() &&
      !(at::GradMode::is_enabled() && x.requires_grad()))
    return device_mixture(x, routing, experts.state());
  return mixture(x, routing,
                 [&](int64_t expert, const at::Tensor& rows) { return experts.of(expert, rows); });
}

}  // namespace preimage::nn
