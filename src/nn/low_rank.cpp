#include "preimage/nn/low_rank.hpp"

#include <utility>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cuda/kernels.hpp"
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

// What lies between the products of a change, [rows, .]: float32, but the dtype of its constants on
// CUDA, where the products round to it anyway and a pass over float32 rows costs as much as one.
at::Tensor between(const at::Tensor& rows, const LowRank& change) {
  return rows.is_cuda() && !change.live ? rows : rows.to(at::kFloat);
}

at::Tensor product(const at::Tensor& rows, const Weight& factor, const LowRank& change) {
  return between(linear(rows_for(rows, factor), factor), change);
}

at::Tensor gradient(const at::Tensor& rows, const Weight& factor, const LowRank& change) {
  return between(linear_input_gradient(rows_for(rows, factor).contiguous(), factor), change);
}

// y + part, rounded once.
void add_to(at::Tensor y, const at::Tensor& part) {
  if (part.scalar_type() == y.scalar_type()) {
    y.add_(part);
  } else {
    y.copy_(y.to(at::kFloat) + part);
  }
}

// left [n, a]' right [n, b] -> [a, b] in float32: one chain over the rows, from the first on.
at::Tensor over_rows(const at::Tensor& left, const at::Tensor& right) {
  if (left.is_cuda()) return at::mm(left.t(), right);
  return chained_mm(left.t(), right.contiguous());
}

// The part of a change between its two products, [rows, r] in the dtype of h: a product in float32,
// rounded once.
at::Tensor gained(const at::Tensor& h, const LowRank& change) {
  if (!change.gain.defined()) return h * change.scale;
  const auto gain = change.scale == 1 ? change.gain.detach() : change.gain.detach() * change.scale;
  auto out = at::empty_like(h);
  return at::mul_out(out, h, gain);
}

// sum over each sample's rows of h u, [samples, r] float32; the kernel's chains depend on the
// sample's rows alone.
at::Tensor products_of_samples(const at::Tensor& h, const at::Tensor& u,
                               const std::vector<int64_t>& samples) {
  auto out = at::empty({static_cast<int64_t>(samples.size()) - 1, h.size(1)},
                       h.options().dtype(at::kFloat));
  cuda_sample_products(h, u.contiguous(), samples, out);
  return out;
}

// of(first row, rows) of each sample, one below the other.
template <class Of>
at::Tensor each_sample(const std::vector<int64_t>& samples, const Of& of) {
  std::vector<at::Tensor> parts;
  for (size_t i = 0; i + 1 < samples.size(); ++i)
    parts.push_back(of(samples[i], samples[i + 1] - samples[i]));
  return at::stack(parts);
}

// The gradients of one change. h = down x [rows, r], d = dy [rows, out].
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
  void to_gain(const at::Tensor& u, at::Tensor* all, at::Tensor* each) const {
    if (kHasCuda && h.is_cuda() && h.scalar_type() == u.scalar_type()) {
      if (all) *all = products_of_samples(h, u, {0, h.size(0)})[0] * change.scale;
      if (each) *each = products_of_samples(h, u, samples) * change.scale;
      return;
    }
    const auto ones = at::ones({x.size(0), 1}, h.options().dtype(at::kFloat));
    to_factor(ones, h.to(at::kFloat) * u * change.scale, all, each);
    if (all) *all = all->squeeze(0);
    if (each) *each = each->squeeze(1);
  }
  // Fills the gradients of the inputs; returns what is added to that of x, or nothing.
  at::Tensor run(at::Tensor* out) const {
    const auto asked = [&](const at::Tensor& leaf, Input place) {
      return leaf.defined() && leaf.requires_grad() ? out + place : nullptr;
    };
    const auto u = gradient(d, now(change.up, change.live), change);  // [rows, r]
    if (change.gain.defined())
      to_gain(u, asked(change.gain, kGain), asked(change.gain_of_samples, kSampleGain));
    if (change.zero_gain) return {};
    const auto inner = gained(u, change);
    if (change.live) {
      to_factor(d, gained(h, change), asked(change.up.matrix(), kUp),
                asked(change.up_of_samples, kSampleUp));
      to_factor(inner, x.to(at::kFloat), asked(change.down.matrix(), kDown),
                asked(change.down_of_samples, kSampleDown));
    }
    return gradient(inner, now(change.down, change.live), change);
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
      const auto h = product(x, now(change.down, change.live), change);
      kept.push_back(h);
      if (change.zero_gain) continue;
      const auto added = product(gained(h, change), now(change.up, change.live), change);
      add_to(y.narrow(1, change.first_row, added.size(1)), added);
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
          between(dy.narrow(1, change.first_row, change.up.out_features()), change).contiguous();
      const auto more =
          Backward{change, x, saved[1 + i], d, layer.samples}.run(&found[i * kInputs]);
      if (dx.defined() && more.defined()) add_to(dx, more);
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
  base::check(!change.zero_gain || change.gain.defined(), "a gain that holds zeros is there");
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
