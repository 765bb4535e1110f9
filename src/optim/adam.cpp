#include "preimage/optim/adam.hpp"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "preimage/base/error.hpp"
#include "preimage/optim/segments.hpp"

namespace preimage::optim {
namespace {

// Coefficients of one problem's update, in float32 as the elements are.
struct Update {
  float scale;  // of the gradient (clipping)
  float beta1, beta2;
  float step_size;        // lr / (1 - beta1^t)
  float root_correction;  // 1 / sqrt(1 - beta2^t)
  float epsilon;
  float shrink;  // 1 - lr * weight_decay
};

Update make_update(const AdamOptions& o, double norm, double learning_rate, int64_t step) {
  Update u{};
  u.scale = o.clip > 0 ? static_cast<float>(std::min(1.0, o.clip / (norm + 1e-6))) : 1.0f;
  u.beta1 = static_cast<float>(o.beta1);
  u.beta2 = static_cast<float>(o.beta2);
  const auto t = static_cast<double>(step);
  u.step_size = static_cast<float>(learning_rate / (1 - std::pow(o.beta1, t)));
  u.root_correction = static_cast<float>(1 / std::sqrt(1 - std::pow(o.beta2, t)));
  u.epsilon = static_cast<float>(o.epsilon);
  u.shrink = static_cast<float>(1 - learning_rate * o.weight_decay);
  return u;
}

// This file is compiled for the baseline processor: no fused multiply-add, so that vectorised and
// left-over elements round alike.
void update_range(const Update& u, const float* gradient, int64_t count, float* value, float* first,
                  float* second) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * u.scale;
    first[i] = u.beta1 * first[i] + (1 - u.beta1) * g;
    second[i] = u.beta2 * second[i] + (1 - u.beta2) * (g * g);
    value[i] =
        value[i] - u.step_size * first[i] / (std::sqrt(second[i]) * u.root_correction + u.epsilon);
  }
}

constexpr int64_t kNormBlock = 1 << 14;

at::Tensor update_with_aten(const Update& u, const at::Tensor& gradient,
                            const at::Tensor& decay_mask, at::Tensor& value, at::Tensor& first,
                            at::Tensor& second) {
  const auto g = gradient * u.scale;
  first.mul_(u.beta1).add_(g * (1 - u.beta1));
  second.mul_(u.beta2).add_(g * g * (1 - u.beta2));
  if (decay_mask.defined()) value.mul_(1 + decay_mask * (u.shrink - 1));
  value.sub_(first * u.step_size / (second.sqrt() * u.root_correction + u.epsilon));
  return value;
}

}  // namespace

void AdamOptions::fields(base::Fields& f) {
  f.add("beta1", beta1, {.help = "decay of the first moment", .min = 0, .max = 0.999999});
  f.add("beta2", beta2, {.help = "decay of the second moment", .min = 0, .max = 0.999999});
  f.add("epsilon", epsilon, {.help = "added to the root of the second moment", .min = 0, .max = 1});
  f.add("clip", clip, {.help = "gradient norm clip of each problem; 0 for none", .min = 0});
}

std::vector<float> adam_step(AdamProblems& problems, const at::Tensor& gradient,
                             const std::vector<double>& learning_rates,
                             const AdamOptions& options) {
  const auto count = static_cast<int64_t>(problems.steps.size());
  base::check(gradient.sizes() == problems.values.sizes() && gradient.scalar_type() == at::kFloat,
              "adam_step is given one gradient for each value");
  if (!gradient.is_cpu()) return plain_adam_step(problems, gradient, learning_rates, options);
  const int64_t d = gradient.size(1);
  const auto g = gradient.contiguous();
  std::vector<float> norms(static_cast<size_t>(count));
  at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const int64_t first = problems.offsets[p] * d,
                    size = (problems.offsets[p + 1] - problems.offsets[p]) * d;
      const float* own = g.const_data_ptr<float>() + first;
      const double norm = std::sqrt(fixed_order_dot(own, own, size));
      norms[p] = static_cast<float>(norm);
      const auto update = make_update(options, norm, learning_rates[p], ++problems.steps[p]);
      update_range(update, own, size, problems.values.data_ptr<float>() + first,
                   problems.first.data_ptr<float>() + first,
                   problems.second.data_ptr<float>() + first);
    }
  });
  return norms;
}

std::vector<float> plain_adam_step(AdamProblems& problems, const at::Tensor& gradient,
                                   const std::vector<double>& learning_rates,
                                   const AdamOptions& options) {
  std::vector<float> norms;
  for (size_t p = 0; p < problems.steps.size(); ++p) {
    const int64_t first = problems.offsets[p], rows = problems.offsets[p + 1] - first;
    const auto own = gradient.narrow(0, first, rows);
    const double norm = own.to(at::kDouble).norm().item<double>();
    norms.push_back(static_cast<float>(norm));
    const auto update = make_update(options, norm, learning_rates[p], ++problems.steps[p]);
    auto value = problems.values.narrow(0, first, rows);
    auto m = problems.first.narrow(0, first, rows), v = problems.second.narrow(0, first, rows);
    update_with_aten(update, own, {}, value, m, v);
  }
  return norms;
}

double fixed_order_norm(const at::Tensor& flat) {
  if (!flat.is_cpu()) return flat.to(at::kDouble).norm().item<double>();
  const int64_t size = flat.numel(), blocks = (size + kNormBlock - 1) / kNormBlock;
  std::vector<double> sums(static_cast<size_t>(blocks));
  at::parallel_for(0, blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const float* block = flat.const_data_ptr<float>() + b * kNormBlock;
      sums[b] = fixed_order_dot(block, block, std::min(kNormBlock, size - b * kNormBlock));
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return std::sqrt(total);
}

float adamw_step(at::Tensor& values, const at::Tensor& gradient, const at::Tensor& decay_mask,
                 AdamWState& state, double learning_rate, const AdamOptions& options) {
  const double norm = fixed_order_norm(gradient);
  const auto update = make_update(options, norm, learning_rate, ++state.steps);
  if (!values.is_cpu()) {
    update_with_aten(update, gradient, decay_mask, values, state.first, state.second);
    return static_cast<float>(norm);
  }
  float* value = values.data_ptr<float>();
  const float* mask = decay_mask.const_data_ptr<float>();
  at::parallel_for(0, values.numel(), kNormBlock, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) value[i] = value[i] * (1 + mask[i] * (update.shrink - 1));
    update_range(update, gradient.const_data_ptr<float>() + begin, end - begin, value + begin,
                 state.first.data_ptr<float>() + begin, state.second.data_ptr<float>() + begin);
  });
  return static_cast<float>(norm);
}

}  // namespace preimage::optim
