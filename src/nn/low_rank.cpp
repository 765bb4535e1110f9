#include "preimage/nn/low_rank.hpp"

#include <utility>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "held.hpp"
#include "preimage/base/error.hpp"

namespace preimage::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// What autograd must know of one change, in this order.
enum Input : size_t { kDown, kUp, kGain, kSampleDown, kSampleUp, kSampleGain, kInputs };

struct Layer {
  Weight weight;
  std::vector<LowRank> changes;
  std::vector<int64_t> samples;
  std::vector<size_t> places;  // of autograd's inputs among kInputs of each change
};

// Factors that change are packed anew; the others keep their packed forms.
Weight now(const Weight& factor, bool live) {
  return live ? Weight(factor.matrix().detach()) : factor;
}

// Rows as a product with `factor` takes them: on the CPU its kernels read narrower matrices beside
// float32 rows, on CUDA rows and matrix have one dtype.
at::Tensor rows_for(const at::Tensor& rows, const Weight& factor) {
  return rows.to(rows.is_cuda() ? factor.matrix().scalar_type() : at::kFloat);
}

at::Tensor product(const at::Tensor& rows, const Weight& factor) {
  return linear(rows_for(rows, factor), factor).to(at::kFloat);
}

at::Tensor gradient(const at::Tensor& rows, const Weight& factor) {
  return linear_input_gradient(rows_for(rows, factor).contiguous(), factor).to(at::kFloat);
}

// left [n, a]' right [n, b] -> [a, b] in float32: one chain over the rows, from the first on.
at::Tensor over_rows(const at::Tensor& left, const at::Tensor& right) {
  if (left.is_cuda()) return at::mm(left.t(), right);
  return chained_mm(left.t(), right.contiguous());
}

// The part of a change between its two products, [rows, r] float32.
at::Tensor gained(const at::Tensor& h, const LowRank& change) {
  return change.gain.defined() ? h * change.gain.detach() * change.scale : h * change.scale;
}

// of(first row, rows) of each sample, one below the other.
template <class Of>
at::Tensor each_sample(const std::vector<int64_t>& samples, const Of& of) {
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i + 1 < samples.size(); ++i)
    parts.push_back(of(samples[i], samples[i + 1] - samples[i]));
  return at::stack(parts);
}

// The gradients of one change. h = down x [rows, r], d = dy [rows, out], both float32.
struct Backward {
  const LowRank& change;
  const at::Tensor &x, &h, &d;
  const std::vector<int64_t>& samples;

  // The gradient to a factor: `left`' `right` over all rows, and over those of each sample.
  void to_factor(const at::Tensor& left, const at::Tensor& right, at::Tensor* all,
                 at::Tensor* each) const {
    const auto of = [&](int64_t first, int64_t count) {
      return over_rows(left.narrow(0, first, count), right.narrow(0, first, count));
    };
    if (all) *all = of(0, left.size(0));
    if (each) *each = each_sample(samples, of);
  }
  // Fills the gradients of the inputs; returns what is added to that of x.
  at::Tensor run(at::Tensor* out) const {
    const auto asked = [&](const at::Tensor& leaf, Input place) {
      return leaf.defined() && leaf.requires_grad() ? out + place : nullptr;
    };
    const auto u = gradient(d, now(change.up, change.live));  // [rows, r]
    const auto inner = gained(u, change);
    if (change.gain.defined()) {
      auto *all = asked(change.gain, kGain), *each = asked(change.gain_of_samples, kSampleGain);
      to_factor(at::ones({x.size(0), 1}, h.options()), h * u * change.scale, all, each);
      if (all) *all = all->squeeze(0);
      if (each) *each = each->squeeze(1);
    }
    if (change.live) {
      to_factor(d, gained(h, change), asked(change.up.matrix(), kUp),
                asked(change.up_of_samples, kSampleUp));
      to_factor(inner, x.to(at::kFloat), asked(change.down.matrix(), kDown),
                asked(change.down_of_samples, kSampleDown));
    }
    return gradient(inner, now(change.down, change.live));
  }
};

class AdaptedFunction : public torch::autograd::Function<AdaptedFunction> {
 public:
  // `inputs` are those of the changes that autograd must know.
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList inputs,
                            const Layer& layer) {
    auto y = linear(x, layer.weight);
    variable_list kept = {x};
    for (const auto& change : layer.changes) {
      const auto h = product(x, now(change.down, change.live));
      const auto added = product(gained(h, change), now(change.up, change.live));
      auto part = y.narrow(1, change.first_row, added.size(1));
      part.copy_(part.to(at::kFloat) + added);
      kept.push_back(h);
    }
    ctx->saved_data["layer"] = hold(layer);
    base::check(inputs.size() == layer.places.size(), "each input has a place");
    ctx->save_for_backward(std::move(kept));
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const auto dy = gradients[0].contiguous();
    const auto& layer = held<Layer>(ctx->saved_data["layer"]);
    const auto saved = ctx->get_saved_variables();
    const auto& x = saved[0];
    variable_list found(layer.changes.size() * kInputs);
    auto dx = ctx->needs_input_grad(0) ? linear_input_gradient(dy, layer.weight) : at::Tensor();
    for (size_t i = 0; i < layer.changes.size(); ++i) {
      const auto& change = layer.changes[i];
      const auto d =
          dy.narrow(1, change.first_row, change.up.out_features()).to(at::kFloat).contiguous();
      const auto more =
          Backward{change, x, saved[1 + i], d, layer.samples}.run(&found[i * kInputs]);
      if (dx.defined()) dx = (dx.to(at::kFloat) + more).to(dx.scalar_type());
    }
    variable_list out = {dx};
    for (const size_t place : layer.places) out.push_back(found[place]);
    out.emplace_back();  // the layer itself
    return out;
  }
};

void check_change(const LowRank& change, const Weight& weight, int64_t samples) {
  const int64_t rank = change.down.out_features();
  base::check(change.down.in_features() == weight.in_features() &&
                  change.up.in_features() == rank && change.first_row >= 0 &&
                  change.first_row + change.up.out_features() <= weight.out_features(),
              "a change of low rank has the layer's sizes");
  base::check(!change.gain.defined() || change.gain.size(0) == rank, "a gain is [r]");
  for (const auto& leaf : {change.gain_of_samples, change.up_of_samples, change.down_of_samples}) {
    base::check(!leaf.defined() || leaf.size(0) == samples,
                "gradients of samples are asked for with the samples' rows");
  }
}

}  // namespace

at::Tensor adapted_linear(const at::Tensor& x, const Weight& weight,
                          const std::vector<LowRank>& changes,
                          const std::vector<int64_t>& samples) {
  if (changes.empty()) return linear(x, weight);
  Layer layer{weight, changes, samples, {}};
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < changes.size(); ++i) {
    const auto& change = changes[i];
    check_change(change, weight, static_cast<int64_t>(samples.size()) - 1);
    const auto add = [&](const at::Tensor& leaf, Input place) {
      if (!leaf.defined() || !leaf.requires_grad()) return;
      inputs.push_back(leaf);
      layer.places.push_back(i * kInputs + place);
    };
    if (change.live) add(change.down.matrix(), kDown), add(change.up.matrix(), kUp);
    add(change.gain, kGain);
    add(change.down_of_samples, kSampleDown);
    add(change.up_of_samples, kSampleUp);
    add(change.gain_of_samples, kSampleGain);
  }
  return AdaptedFunction::apply(x.stride(1) == 1 ? x : x.contiguous(), at::TensorList(inputs),
                                layer);
}

}  // namespace preimage::nn
